// The form that adds a key: a file can be dropped on it, and a private key is never sent.

const form = document.getElementById("add-key");
const PRIVATE = /PRIVATE KEY-----|PuTTY-User-Key-File|SSH PRIVATE KEY FILE/;
const WARNING = "This is a PRIVATE key; it was not sent. Add the public key: the file that ends in .pub.";

function showError(text) {
  let line = document.getElementById("key-error");
  if (!line) {
    line = document.createElement("p");
    line.id = "key-error";
    line.className = "error";
    line.setAttribute("role", "alert");
    form.key.after(line);
  }
  line.textContent = text;
  line.hidden = !text;
  form.key.setAttribute("aria-describedby", text ? "key-help key-error" : "key-help");
  if (text) form.key.setAttribute("aria-invalid", "true");
  else form.key.removeAttribute("aria-invalid");
}

function refuse() {
  form.key.value = "";
  form.file.value = "";
  showError(WARNING);
  form.key.focus();
}

function read(bytes) {
  const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  const name = wide ? (bytes[0] === 0xff ? "utf-16le" : "utf-16be") : "utf-8";
  return new TextDecoder(name).decode(bytes);
}

async function take(file) {
  const text = read(new Uint8Array(await file.slice(0, 65536).arrayBuffer()));
  if (PRIVATE.test(text)) {
    refuse();
    return;
  }
  showError("");
  form.key.value = text.trim();
  form.file.value = "";
}

if (form) {
  form.file.addEventListener("change", () => form.file.files[0] && take(form.file.files[0]));
  form.addEventListener("dragover", (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
  form.addEventListener("drop", (event) => {
    const file = event.dataTransfer.files[0];
    if (file) {
      event.preventDefault();
      take(file);
    }
  });
  form.addEventListener("submit", (event) => {
    if (PRIVATE.test(form.key.value)) {
      event.preventDefault();
      refuse();
    }
  });
}
