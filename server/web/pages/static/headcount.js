// Improvements of the pages. Every page works without this script.

// Show times, and the days of the chart, in the reader's zone; the exact time in UTC stays in the title.
const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export function localTimes(within = document) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    time.textContent = ("day" in time.dataset ? days : zoned).format(new Date(time.dateTime));
  }
  for (const hint of within.querySelectorAll("title[data-at]")) {
    hint.textContent = hint.textContent.replace(hint.dataset.day, days.format(new Date(hint.dataset.at)));
    hint.removeAttribute("data-at"); // its text has the new day now
  }
}

// Name the reader's zone where the server names UTC: the footer, and the label of a control for a time.
function nameZone() {
  const zone = zoned.resolvedOptions().timeZone.replaceAll("_", " ");
  for (const name of document.querySelectorAll("[data-zone]")) name.textContent = zone;
}

// Pages that renew themselves: an element with data-events follows the events of imports. After an event the page is
// fetched, and its regions with data-renew are replaced.

const RENEW_MS = 250; // several events in this time cause one renewal
const RETRY_MS = 10_000;
const RETRY_MOST_MS = 300_000; // the wait doubles up to this, if the server refuses the page or its event stream
const ENDS = [401, 403, 404]; // the session has ended, or the page is gone

class Follower {
  constructor(root) {
    this.root = root;
    this.after = root.dataset.after;
    this.wait = RETRY_MS;
    this.regions = new Map(); // the HTML as the server sent it, with times in UTC
    for (const region of root.querySelectorAll("[data-renew]")) this.regions.set(region.dataset.renew, region.innerHTML);
    this.news = document.createElement("p");
    this.news.className = "hidden";
    this.news.setAttribute("role", "status");
    document.body.append(this.news);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("pageshow", (event) => event.persisted && this.open());
    if (!document.hidden) this.open();
  }

  open() {
    this.close();
    this.source = new EventSource(`${this.root.dataset.events}?after=${this.after}`);
    this.source.addEventListener("progress", (event) => this.progress(JSON.parse(event.data)));
    // data-follow names the events that change the page: "state" of imports, "run" of other files, or both.
    for (const kind of (this.root.dataset.follow ?? "state").split(" ")) {
      this.source.addEventListener(kind, (event) => this.moved(event.lastEventId, JSON.parse(event.data)));
    }
    this.source.addEventListener("open", () => (this.wait = RETRY_MS));
    this.source.addEventListener("error", () => {
      // The browser reconnects by itself, unless the server refused the stream.
      if (this.source.readyState === EventSource.CLOSED) this.renewLater();
    });
  }

  close() {
    clearTimeout(this.retry);
    this.source?.close();
  }

  renewLater() {
    clearTimeout(this.retry);
    if (document.hidden) return; // once it is visible, `open` gets the events after the newest renewal again
    this.retry = setTimeout(async () => (await this.renew()) && this.open(), this.wait);
    this.wait = Math.min(2 * this.wait, RETRY_MOST_MS);
  }

  progress(event) {
    for (const bar of this.root.querySelectorAll("progress[data-import]")) {
      if (bar.dataset.import === `${event.tenant}/${event.import}`) bar.value = event.progress;
    }
  }

  moved(number, event) {
    this.next = number;
    this.newest = event.run ? `${event.tenant}/run/${event.run}` : `${event.tenant}/${event.import}`;
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.renew(), RENEW_MS);
  }

  // Return whether the page was renewed. If the server could not send it, that is tried again; after a sign-out not.
  async renew() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const after = this.next ?? this.after; // the page has all events up to this one
    const path = this.root.dataset.page;
    const answer = await fetch(path === location.pathname ? location.href : path).catch(() => null);
    if (answer?.redirected || ENDS.includes(answer?.status)) return false;
    const text = answer?.ok ? await answer.text().catch(() => null) : null;
    if (turn !== this.turn) return true; // a newer renewal is under way
    if (text === null) return this.renewLater();
    this.after = after;
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const region of this.root.querySelectorAll("[data-renew]")) {
      const fresh = page.querySelector(`[data-renew="${region.dataset.renew}"]`);
      if (fresh && fresh.innerHTML !== this.regions.get(region.dataset.renew)) this.replace(region, fresh);
    }
    this.announce();
    return true;
  }

  replace(region, fresh) {
    const html = fresh.innerHTML;
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const open = [...region.querySelectorAll("details[open][id]")].map((details) => details.id);
    const scrolled = [...region.querySelectorAll(".table")].map((table) => table.scrollLeft);
    this.regions.set(region.dataset.renew, html);
    region.replaceChildren(...fresh.childNodes);
    localTimes(region);
    for (const id of open) region.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
    region.querySelectorAll(".table").forEach((table, index) => (table.scrollLeft = scrolled[index] ?? 0));
    if (focused) (this.counterpart(region, focused) ?? region).focus({ preventScroll: true });
  }

  // Find the element that replaces the focused one. Without one, the region itself gets the focus.
  counterpart(region, element) {
    region.tabIndex = -1;
    const alike = (other) => ["id", "href", "name", "action"].every((name) => other[name] === element[name]);
    const texts = (other) => other.textContent === element.textContent;
    const all = [...region.querySelectorAll(element.localName)].filter(alike);
    return all.find(texts) ?? (element.id || element.href ? all[0] : undefined);
  }

  // Announce the state of the import or file of the newest event to screen readers, in the words of the page.
  announce() {
    const mark = this.root.querySelector(`[data-state-of="${CSS.escape(this.newest ?? "")}"]`);
    if (mark) this.news.textContent = `#${this.newest.split("/").pop()}: ${mark.textContent.trim()}`;
  }
}

// Refuse a file that is too large before it is sent.
function fileFields() {
  for (const field of document.querySelectorAll("input[type=file][data-most]")) {
    const over = (is) => () => field.classList.toggle("over", is);
    for (const name of ["dragenter", "dragover"]) field.addEventListener(name, over(true));
    for (const name of ["dragleave", "drop"]) field.addEventListener(name, over(false));
    field.addEventListener("change", () => {
      const large = field.files[0]?.size > Number(field.dataset.most);
      field.setCustomValidity(large ? field.dataset.large : "");
      field.reportValidity();
    });
    sentOnce(field.form, field.dataset.sending);
  }
}

// Send a form once: a second click during a long upload would send the file again.
function sentOnce(form, sending) {
  const button = form.querySelector("button");
  const label = button.textContent;
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
    button.textContent = sending;
  });
  window.addEventListener("pageshow", () => {
    sent = false;
    button.textContent = label;
  });
}

// Show and read a date and a time in the reader's zone. The server gets the instant in UTC.
function momentFields() {
  for (const field of document.querySelectorAll("input[type=datetime-local]")) {
    const at = new Date(`${field.value}Z`);
    if (field.value) field.value = new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
    field.form.addEventListener("formdata", (event) => {
      const instant = new Date(field.value);
      if (!isNaN(instant)) event.formData.set("instant", instant.toISOString());
    });
  }
}

for (const root of document.querySelectorAll("[data-events]")) new Follower(root);
localTimes();
nameZone();
fileFields();
momentFields();
