// Improvements of the settings form: examples follow a choice, changes are marked, and the list of groups follows the
// page. The form works without this script.

const form = document.querySelector("form.settings");

// Show what the chosen option reads in the newest file. Only the server knows this of a value that is typed.
for (const preview of form.querySelectorAll(".preview")) {
  const select = document.getElementById(preview.id.replace(/-preview$/, ""));
  const show = () => (preview.textContent = select.selectedOptions[0]?.dataset.preview ?? "");
  select.addEventListener("change", show);
  document.getElementById(`${select.id}.other`)?.addEventListener("input", show);
}

// Mark the settings that differ from the page as it was loaded; the server marks those that differ from what is stored.
const settings = [...form.querySelectorAll(".setting")];
const marked = new Set(settings.filter((setting) => setting.dataset.unsaved !== undefined));
const count = form.querySelector(".unsaved-count");

function differs(control) {
  if (control.type === "hidden") return false;
  if (control.type === "checkbox") return control.checked !== control.defaultChecked;
  if (!(control instanceof HTMLSelectElement)) return control.value !== control.defaultValue;
  const first = [...control.options].find((option) => option.defaultSelected) ?? control.options[0];
  return control.selectedOptions[0] !== first;
}

function mark() {
  let changed = 0;
  for (const setting of settings) {
    const unsaved = marked.has(setting) || [...setting.querySelectorAll("input, select, textarea")].some(differs);
    setting.toggleAttribute("data-unsaved", unsaved);
    if (unsaved) changed += 1;
  }
  const text = changed ? `${changed} ${changed === 1 ? "change" : "changes"} not saved` : "";
  if (count.textContent !== text) count.textContent = text;
}

form.addEventListener("input", mark);
form.addEventListener("change", mark);
window.addEventListener("pageshow", mark); // a browser fills in what was typed before

// Mark the group that is on the screen.
const links = new Map([...document.querySelectorAll(".sections .aside a")].map((link) => [link.hash.slice(1), link]));
const seen = new Set();
const follower = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? seen.add(target.id) : seen.delete(target.id);
    const first = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) id === first ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  },
  { rootMargin: "-80px 0px -50% 0px" },
);
for (const id of links.keys()) follower.observe(document.getElementById(id));

// Open the settings that few companies change, if a link leads to one of them. Newer browsers do so by themselves.
function reveal() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const more = target && target.closest("details");
  if (!more || more.open) return;
  more.open = true;
  target.scrollIntoView();
}

window.addEventListener("hashchange", reveal);
reveal();
