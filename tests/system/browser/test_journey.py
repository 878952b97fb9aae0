"""An HR person gets from an empty company to a daily feed, a decision and an undo, with a browser and a mailbox.

The labels that Hanna reads and uses are those of “Your first day” in docs/owner-guide.md, in the same order.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support import ROOT
from tests.support.browser import open_page, staying, url
from tests.support.clients import client, needs
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually

HANNA = "hanna@nordwind.example"
FIRST = ("Jörg", "Anke", "Uwe", "Käthe", "Jürgen", "Ute", "Björn", "Silke")
LAST = ("Müller", "Groß", "Jäger")
USERS = [(first, last) for last in LAST for first in FIRST]
ONE_LESS = [*USERS[:10], *USERS[11:]]
FEWER = [*USERS[:7], *USERS[16:]]

pytestmark = [needs("chromium", "sftp", "ssh-keygen"), pytest.mark.asyncio(loop_scope="module")]


def export(users: Sequence[tuple[str, str]], team: str = "Vertrieb") -> bytes:
    """Return a list as a German HR system writes it: each day could be a month, and no column has a known name."""
    rows = [
        f"{first};{last};{number}@nordwind.example;03/{number % 12 + 1:02}/2024;{team};Kiel;x"
        for number, (first, last) in enumerate(USERS)
        if (first, last) in users
    ]
    text = "\r\n".join(["Vorname;Nachname;E-Mail;Eintritt;Abteilung;Ort;Kommentar", *rows, ""])
    return text.encode("cp1252")


class Person:
    """Hanna with her browser, her mailbox and a folder. `met` are the labels that she has read or used, in order.

    `reloads`: no page changes by itself, so she reloads the page to see what is new.
    """

    def __init__(self, page: Page, mail: MailHost, folder: Path, *, reloads: bool) -> None:
        self.page, self.mail, self.folder, self.reloads = page, mail, folder, reloads
        self.main = page.get_by_role("main")
        self.met: list[str] = []

    async def sees(self, heading: str) -> None:
        """Read a heading."""
        await expect(self.main.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        self.met.append(heading)

    async def waits_for(self, heading: str) -> None:
        """Wait for a heading that may come later than the rest of the page."""
        found = self.main.get_by_role("heading", name=heading, exact=True)

        async def is_there() -> bool:
            if self.reloads and not await found.count():
                await self.page.reload()
            return bool(await found.count())

        await eventually(is_there, what=heading)
        await self.sees(heading)

    async def reads(self, *sentences: str) -> None:
        """Read these texts on the page."""
        for sentence in sentences:
            await expect(self.main).to_contain_text(sentence, use_inner_text=True)

    async def goes_to(self, name: str) -> None:
        """Follow a link at the top of the page."""
        await self.page.get_by_role("banner").get_by_role("link", name=name, exact=True).click()
        await self.sees(name)

    async def presses(self, name: str, *, kind: str = "button", of: str = "") -> None:
        """Press the button `name`, which may go on with `of`; or open a part of the page, with the kind `part`."""
        label = f"{name}{of}"
        if kind == "part":
            await self.main.locator("summary").filter(has_text=re.compile(rf"^\s*{re.escape(label)}\s*$")).click()
        elif kind == "link":
            await self.main.get_by_role("link", name=label, exact=True).click()
        else:
            await self.main.get_by_role("button", name=label, exact=True).click()
        self.met.append(name)

    async def sends(self, name: str, notice: str, *, of: str = "") -> None:
        """Press the button of a form, and read its notice."""
        async with staying(self.page):
            await self.presses(name, of=of)
            await self.reads(notice)

    async def fills(self, label: str, text: str) -> None:
        await self.main.get_by_label(label, exact=True).fill(text)
        self.met.append(label)

    async def newest_mail(self, subject: str, count: int = 1) -> str:
        """Wait for so many mails with this subject, and return the text of the newest."""

        def found() -> list[str]:
            return [
                " ".join(str(body.get_content()).split())
                for each in self.mail.to(HANNA)
                if subject in each["Subject"] and (body := each.get_body(("plain",)))
            ]

        return (await eventually(lambda: found()[count - 1 :], what=f"the mail about {subject}"))[-1]

    async def opens_link_of(self, text: str) -> None:
        """Open the one link of a mail."""
        (link,) = dict.fromkeys(re.findall(r"http://\S+", text))
        await self.page.goto(link)

    async def tests_file(self, content: bytes) -> None:
        """Test the export on the page Send a file, and wait for the result."""
        file = self.folder / "Personal 2024.csv"
        file.write_bytes(content)
        await self.goes_to("Send a file")
        await self.main.get_by_label("Drop a CSV file here, or choose one").set_input_files(file)
        await self.presses("Test this file")
        await self.reads("Dry run: nothing was changed.")

    async def users(self) -> str:
        """Return the list of users, as the page gives it to her spreadsheet."""
        await self.goes_to("Users")
        async with self.page.expect_download() as fetched:
            await self.main.get_by_role("link", name="as CSV", exact=True).click()
        return Path(await (await fetched.value).path()).read_text(encoding="utf-8-sig")


async def signs_in(person: Person) -> None:
    page = person.page
    await page.goto("/")
    await person.fills("Email address", HANNA)
    await person.presses("Email me a sign-in link")
    await person.reads("If a token has this address, a mail is on its way. Its link works for 10 minutes.")
    await person.opens_link_of(await person.newest_mail("your sign-in link"))
    await person.reads("You sign in to nordwind as Hanna (owner, token")
    await person.presses("Sign in")
    await person.sees("Imports")


async def sees_the_way(person: Person) -> None:
    await person.sees("No files yet")
    await person.reads("There are three steps to the first import.")
    for step in ("Add a key", "Connect with WinSCP", "Send sync_users.csv"):
        await expect(person.main.get_by_role("heading", name=step, exact=True)).to_be_visible()
    await person.goes_to("Users")
    await person.sees("No users yet")
    await person.presses("Send a file", kind="link")


async def learns_what_does_not_fit(person: Person) -> None:
    await person.tests_file(export(USERS))
    await person.reads("Failed", "The columns are separated by semicolons, but commas are expected.")
    await person.waits_for("Suggested settings")
    await person.reads(
        "“Vorname” looks like first_name.",
        "Dates are written as 12/31/2026 (month/day/year).",
        "They may also be 31/12/2026 (day/month/year): check a date that you know",
    )
    await person.presses("Open in settings", kind="link")


async def fits_the_settings(person: Person) -> None:
    """Take the suggestions, with the right order of day and month, and test and save them."""
    main = person.main
    await person.reads("Nothing is saved yet. The form shows the settings suggested for the file of import #1")
    await expect(main.locator("#encoding-preview")).to_contain_text("“Jörg”")
    await main.get_by_label("Every file is a complete list", exact=True).check()
    person.met.append("Every file is a complete list")
    preview = main.locator("#date_format-preview")
    await expect(preview).to_contain_text("is 1 March 2024")
    await main.get_by_label("Date format", exact=True).select_option("31/12/2026 (day/month/year)")
    if not person.reloads:
        await expect(preview).to_contain_text("is 3 January 2024")
    person.met.append("Date format")
    await main.get_by_label("Field of Ort", exact=True).select_option("Location")
    await main.get_by_label("Field of Kommentar", exact=True).select_option("Not used")
    person.met.append("Column names")
    await person.fills("Email addresses", HANNA)
    await person.presses("Test on the newest file")
    await person.reads("24 users would be created.", "Dry run: nothing was changed.", HANNA)
    await person.presses("Save these settings")
    await person.reads("Settings saved. The next import uses them.")


async def sends_the_file(person: Person) -> None:
    await person.tests_file(export(USERS))
    await person.reads("24 users would be created.")
    await person.sends("Send this file", "File sent. Its import is queued.", of=": create 24 users")
    await person.reads("24 users created.")
    assert "Import 4 of nordwind was applied" in await person.newest_mail("import 4 was applied")
    await person.goes_to("Users")
    await person.reads("24 active", "Jörg Müller")
    await person.presses("Jörg Müller", kind="link")
    await person.reads("Primary team Vertrieb", "Location Kiel", "Hire date 2024-01-03")


async def sets_up_the_feed(person: Person) -> None:
    """Create a key with the command of the page, and add it."""
    await person.goes_to("Keys")
    await person.sees("No keys yet")
    await person.presses("Create a key pair", kind="part")
    command = await person.main.locator("pre").filter(has_text="ssh-keygen").inner_text()
    assert command == 'ssh-keygen -t ed25519 -f headcount -C "nordwind"'
    shell(f"{command} -q -N ''", person.folder)
    await person.main.get_by_label("Or choose the file").set_input_files(person.folder / "headcount.pub")
    await person.presses("Add this key")
    await person.reads("Key added. It can be used now.", "Last used never")


async def the_feed_sends(person: Person, content: bytes) -> None:
    """Send a file with the script and the host key that the page Keys shows, as the HR system does each night."""
    await person.goes_to("Keys")
    await person.sees("How to connect")
    await person.presses("OpenSSH: sftp", kind="part")
    shown = person.main.locator("details[open] pre")
    (script,) = [each for each in await shown.all_inner_texts() if each.startswith("echo ")]
    (known,) = [each for each in await shown.all_inner_texts() if "ssh-ed25519 " in each]
    (person.folder / "known_hosts").write_text(f"{known.strip()}\n")
    (person.folder / "sync_users.csv").write_bytes(content)
    sftp = f"{client('sftp')} -F none -o UserKnownHostsFile=known_hosts -o IdentityAgent=none"
    shell(script.replace("| sftp ", f"| {sftp} "), person.folder)


def shell(command: str, folder: Path) -> None:
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


async def sees_the_feed(person: Person) -> None:
    await the_feed_sends(person, export(ONE_LESS))
    await person.goes_to("Imports")
    await person.presses("#5", kind="link")
    await person.reads("Completed", "1 user deactivated.")


async def sees_why_a_file_fails(person: Person) -> None:
    """A file whose last row lacks cells is never applied: no decision is needed, but a complete file."""
    await the_feed_sends(person, export(ONE_LESS).rpartition(b"@")[0])
    text = await person.newest_mail("import 6 failed")
    assert "Import 6 of nordwind failed and changed no user" in text
    await person.opens_link_of(text)
    await person.reads("Failed", "The file ends in the middle of line 24. Send the complete file.")
    await expect(person.main.get_by_role("heading", name="Your decision")).to_have_count(0)
    await person.goes_to("Users")
    await person.reads("23 active, 1 deactivated")


async def discards_an_incomplete_file(person: Person) -> None:
    """A file that ends after a row may be the complete list: only a person can tell."""
    rows = export(ONE_LESS).splitlines(keepends=True)
    await the_feed_sends(person, b"".join(rows[: len(rows) // 2]))
    text = await person.newest_mail("is held: approve or discard")
    assert "Import 7 of nordwind is held, and an owner must approve or discard it" in text
    await person.opens_link_of(text)
    await person.reads("Held: decision needed", "this file may be incomplete and would deactivate")
    await person.sees("Your decision")
    await person.presses("Discard import")
    await person.reads("Discarded: nothing was changed.")


async def approves_leavers(person: Person) -> None:
    await the_feed_sends(person, export(FEWER))
    await person.opens_link_of(await person.newest_mail("is held: approve or discard", 2))
    await person.reads("Held: decision needed", "would deactivate 8 of 23 active users.")
    await person.sees("Users to deactivate")
    await person.presses("Approve", of=": deactivate 8 users", kind="part")
    await person.reads("The approval deactivates 8 users. Check the list of these users below first.")
    await person.sends("Deactivate 8 users", "Approved and queued.")
    await person.reads("8 users deactivated.")
    await person.goes_to("Users")
    await person.reads("15 active, 9 deactivated")


async def undoes_a_mistake(person: Person) -> None:
    """A file that moves all users into one team is applied; its undo sets back every user."""
    before = await person.users()
    await the_feed_sends(person, export(FEWER, team="Einkauf"))
    await person.goes_to("Imports")
    await person.presses("#9", kind="link")
    await person.reads("15 users updated.", "Primary team Vertrieb")
    assert await person.users() != before
    await person.goes_to("Imports")
    await person.presses("#9", kind="link")
    await person.presses("Undo this import", kind="part")
    await person.reads("The undo sets back 15 updated users.")
    await person.sends("Undo import #9", "The undo is queued.")
    await person.reads("Undone by Hanna (owner, token")
    assert await person.users() == before


def labels_of_the_guide() -> list[str]:
    """Return the labels in the numbered steps of “Your first day”, in order."""
    guide = (ROOT / "docs" / "owner-guide.md").read_text(encoding="utf-8")
    section = guide.partition("\n## Your first day\n")[2].partition("\n## ")[0]
    return [" ".join(each.split()) for each in re.findall(r"\*+([^*]+)\*+", section)]


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_person_with_a_browser_and_a_mailbox_gets_to_a_daily_feed_and_an_undo(
    mailing: ServerProcess, mail: MailHost, browser: Browser, tmp_path: Path, javascript: bool
) -> None:
    mailing.cli("tenant", "add", "nordwind")
    mailing.cli("token", "create", "nordwind", "--role", "owner", "--comment", "Hanna", "--email", HANNA)
    folder = tmp_path / "hanna"
    folder.mkdir()
    async with open_page(browser, url(mailing), javascript=javascript) as page:
        person = Person(page, mail, folder, reloads=not javascript)
        for step in (
            *(signs_in, sees_the_way, learns_what_does_not_fit, fits_the_settings, sends_the_file),
            *(sets_up_the_feed, sees_the_feed, sees_why_a_file_fails, discards_an_incomplete_file),
            *(approves_leavers, undoes_a_mistake),
        ):
            await step(person)
    labels, met = labels_of_the_guide(), iter(person.met)
    assert len(labels) > 10
    assert [each for each in labels if each not in met] == [], "the guide names the labels in the order of the way"
