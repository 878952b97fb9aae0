"""Signing in by a link in a mail: once, by its button, and with one answer for every address."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from engine.tokens import Role
from ground.moments import utc_now
from ground.waits import Growing
from server.notify import sign_in_mails
from server.notify.sign_in_mails import AN_HOUR, DELAY_S, LINKS_MOST, OF_SOURCE, random_delay
from server.tenants.access.sign_ins import LINK_S
from server.web.office import LINK_REQUESTS
from server.web.pages.leading import IN_MAIL_MOST
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.forms import Form
from tests.support.mailserver import MailHost
from tests.support.pages import done
from tests.support.site import FROM_OURS, Site, open_site
from tests.support.waiting import eventually

URL = "https://hr.example.com"
LINK = "/sign-in/link"
REQUEST = "/sign-in/request-link"
ANN = "ann@acme.example"


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailHost]:
    with MailHost(tmp_path) as host:
        yield host


@pytest.fixture
async def site(tmp_path: Path, mail: MailHost) -> AsyncIterator[Site]:
    chosen = {"smtp_url": f"smtp://127.0.0.1:{mail.port}", "http_public_url": f"{URL}/"}
    async with open_site(tmp_path / "data", "acme", "other", **chosen) as opened:
        await opened.office.tokens.create("acme", Role.OWNER, comment="Ann", email=ANN)
        yield opened


async def ask(site: Site, email: str, source: str = "192.0.2.1") -> httpx.Response:
    client = site.anybody(**FROM_OURS, **{"x-forwarded-for": source})
    return await client.post(REQUEST, data={"email": email})


async def idle(site: Site) -> None:
    """Wait until no mail waits to be sent."""
    mails = site.office.sign_in_mails
    assert mails
    await eventually(lambda: not mails._tasks)


async def code_for(site: Site, mail: MailHost, email: str = ANN) -> str:
    """Ask for a link and return its secret."""
    before = len(mail.mails)
    await ask(site, email)
    await eventually(lambda: len(mail.mails) > before)
    (code,) = codes_in(mail)
    return code


def text_in(mail: MailHost) -> str:
    """Return the plain text of the newest mail."""
    plain = mail.mails[-1].get_body(("plain",))
    assert plain
    return str(plain.get_content())


def codes_in(mail: MailHost) -> list[str]:
    """Return the secrets in the newest mail."""
    links = re.findall(rf"{URL}{LINK}\?\S+", text_in(mail))
    return [parse_qs(urlsplit(link).query)["code"][0] for link in links]


async def test_a_link_signs_in_once_and_only_by_its_button(site: Site, mail: MailHost) -> None:
    code = await code_for(site, mail)
    scanner = site.anybody()
    for _ in range(3):
        page = await scanner.get(LINK, params={"code": code})
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
        assert "Ann (owner, token" in page.text
        assert "set-cookie" not in page.headers
    browser = site.anybody(**FROM_OURS)
    answer = await browser.post(LINK, data=dict(Form(page.text, LINK).pairs))
    assert answer.headers["location"] == "/tenants/acme/imports"
    home = await browser.get("/tenants/acme/imports")
    assert "Signed in as Ann (owner, token" in home.text
    for used in (await scanner.get(LINK, params={"code": code}), await browser.post(LINK, data={"code": code})):
        assert used.status_code == 410
        assert "This link was used, or is older than 10 minutes." in used.text
        assert "Email me a sign-in link" in used.text
        assert "set-cookie" not in used.headers


async def test_a_request_gets_the_same_answer_for_every_address(site: Site, mail: MailHost) -> None:
    answers = [
        await ask(site, email, f"192.0.2.{number}")
        for number, email in enumerate((ANN, "bo@acme.example", "no address", "", ANN.upper()))
    ]
    assert {(*done(each), each.text) for each in answers} == {("/sign-in", "link-requested", "")}
    await idle(site)
    assert {each["To"] for each in mail.mails} == {ANN}
    shown = (await site.anybody(cookie=answers[0].headers["set-cookie"].partition(";")[0]).get("/sign-in")).text
    assert "If a token has this address, a mail is on its way." in shown


async def test_the_answer_waits_for_no_mail(site: Site, mail: MailHost) -> None:
    mail.answer = lambda _: ""
    assert (await ask(site, ANN)).status_code == 303
    await eventually(lambda: mail.tries)
    assert (await ask(site, ANN)).status_code == 303
    assert not mail.mails


async def test_a_mail_has_a_link_for_each_valid_token(site: Site, mail: MailHost) -> None:
    tokens = site.office.tokens
    await tokens.create("other", Role.VIEWER, email=ANN)
    await tokens.create(None, Role.OPERATOR, comment="Ann", email=ANN)
    revoked, _ = await tokens.create("acme", Role.VIEWER, email=ANN)
    await tokens.revoke(revoked.id)
    await ask(site, ANN)
    await eventually(lambda: mail.mails)
    text = text_in(mail)
    assert re.findall(r"^- (Company \w+|All companies): as", text, re.MULTILINE) == [
        "All companies",
        "Company acme",
        "Company other",
    ]
    homes = []
    for code in codes_in(mail):
        answer = await site.anybody(**FROM_OURS).post(LINK, data={"code": code})
        homes.append(answer.headers["location"])
    assert homes == ["/tenants", "/tenants/acme/imports", "/tenants/other/imports"]


async def test_a_company_cannot_crowd_out_another_one_or_write_into_the_mail(site: Site, mail: MailHost) -> None:
    lure = {"role": "viewer", "email": ANN, "comment": "Locked: unlock it at https://evil.example"}
    for _ in range(LINKS_MOST):
        made = await site.api("elsewhere").post("/api/v1/tenants/other/tokens", json=lure)
        assert made.status_code == 201
    (anns,) = [each for each in await site.office.tokens.of("acme") if each.email == ANN]
    await ask(site, ANN)
    await eventually(lambda: mail.mails)
    entries = re.findall(r"^- (Company \w+: as [\w, ]+)", text_in(mail), re.MULTILINE)
    assert entries == [
        f"Company acme: as owner, token {anns.id}",
        f"Company other: as viewer, token {made.json()['id']}",
    ]
    assert len(codes_in(mail)) == 2
    html = mail.mails[-1].get_body(("html",))
    assert html
    for part in (text_in(mail), str(html.get_content())):
        words = re.sub(r"code=[\w-]+", "", part)  # a secret may have any letters
        assert "evil" not in words
        assert "Ann" not in words.replace(ANN, "")


async def test_an_address_gets_at_most_5_mails_an_hour(site: Site, mail: MailHost) -> None:
    for number in range(AN_HOUR + 2):
        assert (await ask(site, ANN, f"192.0.2.{number}")).status_code == 303
        await idle(site)
    assert len(mail.mails) == AN_HOUR


async def test_one_source_causes_at_most_2_mails_an_hour_to_an_address(site: Site, mail: MailHost) -> None:
    for _ in range(LINK_REQUESTS):
        assert (await ask(site, ANN, "198.51.100.66")).status_code == 303
        await idle(site)
    assert len(mail.mails) == OF_SOURCE
    await ask(site, ANN, "192.0.2.1")
    await idle(site)
    assert len(mail.mails) == OF_SOURCE + 1


async def test_a_mail_that_was_not_sent_counts_for_no_limit(
    site: Site, mail: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in_mails, "AWAY", Growing(0.001, 0.001))
    mail.go_away()
    for number in range(AN_HOUR):
        await ask(site, ANN, f"192.0.2.{number // OF_SOURCE}")
        await idle(site)
    mail.come_back()
    await ask(site, ANN, "192.0.2.0")
    await idle(site)
    assert len(mail.mails) == 1


async def test_requests_for_unknown_addresses_take_no_place_of_a_mail(
    site: Site, mail: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in_mails, "WAITING_MOST", 1)
    sender = site.office.sign_in_mails
    assert sender
    for number in range(20):
        await sender.ask(f"user{number}@acme.example", "192.0.2.9")
    await ask(site, ANN)
    await idle(site)
    assert [each["To"] for each in mail.mails] == [ANN]


async def test_a_temporary_refusal_is_tried_again_while_other_mails_go(
    site: Site, mail: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail servers refuse the first mail of an unknown sender for a while (greylisting)."""
    bo = "bo@acme.example"
    await site.office.tokens.create("acme", Role.VIEWER, email=bo)
    monkeypatch.setattr(sign_in_mails, "REFUSED", Growing(0.01, 0.01))
    mail.answer = lambda message: "450 greylisted" if message["To"] == ANN else None
    monkeypatch.setattr(sign_in_mails, "TRIES", 10_000)
    await ask(site, ANN)
    await eventually(lambda: mail.tries)
    await ask(site, bo)
    await eventually(lambda: [each["To"] for each in mail.mails] == [bo])
    mail.answer = lambda _: None
    await eventually(lambda: [each["To"] for each in mail.mails] == [bo, ANN])


async def test_the_work_on_a_request_begins_after_a_random_delay(site: Site, mail: MailHost) -> None:
    """Otherwise the time of the next answer would tell whether an address is known."""
    delays = {random_delay() for _ in range(1_000)}
    assert len(delays) > 900
    assert DELAY_S[0] <= min(delays) < max(delays) <= DELAY_S[1]
    sender = site.office.sign_in_mails
    assert sender
    sender._delay = lambda: 3600.0
    await ask(site, ANN)
    assert not sender._waiting
    assert len(sender._tasks) == 1
    await sender.stop(30.0)
    assert [each["To"] for each in mail.mails] == [ANN]


async def test_the_page_says_the_limits_of_links(site: Site) -> None:
    text = (await site.anybody().get("/sign-in")).text
    assert f"at most {AN_HOUR} mails an hour, and at most {OF_SOURCE} of them from one network" in text


async def test_a_source_makes_at_most_5_requests_an_hour(site: Site, mail: MailHost) -> None:
    for number in range(LINK_REQUESTS):
        assert (await ask(site, f"user{number}@acme.example", f"2001:db8:0:{number}::1")).status_code == 303
    for email in (ANN, "bo@acme.example"):
        refused = await ask(site, email, "2001:db8::9")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
    await idle(site)
    assert not mail.mails
    assert (await ask(site, ANN, "2001:db8:1::9")).status_code == 303


async def test_a_link_works_for_10_minutes(site: Site) -> None:
    now = utc_now()
    (token,) = await site.office.tokens.valid_with(ANN, now)
    sign_ins = site.office.sign_ins
    text = await sign_ins.make_link(token, now)
    assert text
    assert await sign_ins.find_link(text, now + timedelta(seconds=LINK_S - 1)) == token
    assert await sign_ins.open_by_link(text, now + timedelta(seconds=LINK_S)) is None


async def test_a_link_stays_if_the_session_cannot_be_opened_now(
    site: Site, mail: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await code_for(site, mail)
    browser = site.anybody(**FROM_OURS)

    async def opened() -> bool:
        return (await browser.post(LINK, data={"code": code})).status_code == 303

    site.stored.impatient(monkeypatch, 0.01)
    if chosen_engine() == EMBEDDED:
        await site.office.tenants.store.ledger.db.execute("PRAGMA busy_timeout=1")  # type: ignore[attr-defined]
    with site.stored.writing("sessions"):
        assert (await browser.post(LINK, data={"code": code})).status_code == 503
    await eventually(opened)


async def test_a_link_ends_with_its_token(site: Site, mail: MailHost) -> None:
    code = await code_for(site, mail)
    (token,) = await site.office.tokens.valid_with(ANN, utc_now())
    await site.office.tokens.revoke(token.id)
    assert (await site.anybody(**FROM_OURS).post(LINK, data={"code": code})).status_code == 410


async def test_a_link_ends_when_the_address_of_its_token_changes(site: Site, mail: MailHost) -> None:
    code = await code_for(site, mail)
    (token,) = await site.office.tokens.valid_with(ANN, utc_now())
    changed = await site.api("owner").patch(
        f"/api/v1/tenants/acme/tokens/{token.id}", json={"email": "ann.lee@acme.example"}
    )
    assert changed.status_code == 200
    assert (await site.anybody(**FROM_OURS).post(LINK, data={"code": code})).status_code == 410


async def test_the_secret_of_a_link_is_not_stored(site: Site, mail: MailHost) -> None:
    code = await code_for(site, mail)
    assert site.stored.holds(ANN)
    assert not site.stored.holds(code)


async def test_a_link_is_used_by_one_of_two_at_once(site: Site, mail: MailHost) -> None:
    code = await code_for(site, mail)
    clients = [site.anybody(**FROM_OURS) for _ in range(2)]
    answers = await asyncio.gather(*(client.post(LINK, data={"code": code}) for client in clients))
    assert sorted(each.status_code for each in answers) == [303, 410]


async def test_a_link_leads_to_the_page_that_was_asked_for(site: Site, mail: MailHost) -> None:
    await site.office.tokens.create("other", Role.VIEWER, email=ANN)
    client, target = site.anybody(**FROM_OURS), "/tenants/acme/imports/7?all=1&b=ä"
    form = Form((await client.get("/sign-in", params={"next": target})).text, REQUEST)
    answer = await client.post(REQUEST, data=form.but(email=ANN))
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"next": [target]}
    assert Form((await client.get(answer.headers["location"])).text, "/sign-in")["next"] == target
    await eventually(lambda: mail.mails)
    leads = []
    for link in re.findall(rf"{URL}({LINK}\?\S+)", text_in(mail)):
        button = Form((await client.get(link)).text, LINK)
        signed_in = await site.anybody(**FROM_OURS).post(LINK, data=dict(button.pairs))
        leads.append(unquote(signed_in.headers["location"]))
    assert leads == [target, "/tenants/other/imports"]
    used = await client.get(link)
    assert used.status_code == 410
    assert Form((await client.get(f"{LINK}?code=x&next=/api")).text, REQUEST)["next"] == "/api"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "x" * 501])
async def test_a_link_leads_to_no_other_site(site: Site, mail: MailHost, target: str) -> None:
    client = site.anybody(**FROM_OURS)
    answer = await client.post(REQUEST, data={"email": ANN, "next": target})
    assert done(answer) == ("/sign-in", "link-requested")
    await eventually(lambda: mail.mails)
    assert "next=" not in text_in(mail)
    (code,) = codes_in(mail)
    page = await client.get(LINK, params={"code": code, "next": target})
    assert "evil.example" not in page.text
    signed_in = await client.post(LINK, data={"code": code, "next": target})
    assert signed_in.headers["location"] == "/tenants/acme/imports"


async def test_a_page_of_more_than_500_characters_is_in_no_mail(site: Site, mail: MailHost) -> None:
    target = "/tenants/acme/users?search=" + "x" * IN_MAIL_MOST
    await site.anybody(**FROM_OURS).post(REQUEST, data={"email": ANN, "next": target})
    await eventually(lambda: mail.mails)
    assert "next=" not in text_in(mail)


async def test_without_mail_or_public_url_no_link_is_offered(tmp_path: Path) -> None:
    for number, chosen in enumerate(({"smtp_url": "smtp://127.0.0.1:1"}, {"http_public_url": URL})):
        async with open_site(tmp_path / str(number), "acme", **chosen) as site:
            assert "Email me" not in (await site.anybody().get("/sign-in")).text
            assert (await ask(site, ANN)).status_code == 404


async def test_the_sign_in_page_offers_a_link(site: Site) -> None:
    text = (await site.anybody().get("/sign-in")).text
    assert "Email me a sign-in link" in text
    assert [name for name, _ in Form(text, REQUEST).pairs] == ["email"]


@pytest.mark.logs("sign_in_mail_failed")
async def test_a_mail_that_cannot_be_sent_is_logged_without_address_and_link(
    site: Site, mail: MailHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sign_in_mails, "AWAY", Growing(0.001, 0.001))
    mail.go_away()
    await ask(site, ANN)
    await idle(site)
    mail.come_back()
    mail.refuses[ANN] = "550 no such user"
    await ask(site, ANN)
    await idle(site)
    texts = [record.getMessage() for record in caplog.records if "sign-in mail" in record.getMessage()]
    assert len(texts) == 2
    assert not [text for text in texts if ANN in text or "code=" in text]
    del mail.refuses[ANN]
    assert await code_for(site, mail)
