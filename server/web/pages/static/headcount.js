// What a page can do better with a script. Nothing here is needed: every page works without it.

// Times in the reader's own zone; the exact UTC stays in the title.
const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localTimes(within = document) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    time.textContent = zoned.format(new Date(time.dateTime));
  }
}

localTimes();
