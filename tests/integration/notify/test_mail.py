"""Mail against a real SMTP server: TLS, login, and servers that refuse, hang or die."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.notify.layout import Letter
from server.notify.mail import Mailer, MailRefused, MailServer, ServerAway, deliverable, sender_of
from tests.support.mailserver import MailHost
from tests.support.waiting import DEADLINE_S

LETTER = Letter("Grüße\r\nBcc: eve@example.com", "Hello Zoë,\n.\nthat is all.\n")
LOGIN = ("headcount", "s3cret:/@")
FROM = "headcount@example.com"
TrustFile = Callable[[Path], None]


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> TrustFile:
    """Trust a CA file, as SSL_CERT_FILE makes OpenSSL do."""
    return lambda file: monkeypatch.setenv("SSL_CERT_FILE", str(file))


@asynccontextmanager
async def mailer(host: MailHost, scheme: str = "smtp", login: str = "", **options: Any) -> AsyncIterator[Mailer]:
    server = MailServer.from_url(f"{scheme}://{login}127.0.0.1:{host.port}")
    made = Mailer(server, FROM, **options)
    try:
        yield made
    finally:
        await made.close()


async def test_a_mail_arrives_complete_and_its_subject_stays_one_line(tmp_path: Path) -> None:
    with MailHost(tmp_path) as host:
        async with mailer(host) as sending:
            await sending.send(["ann@example.com", "bob@example.com"], LETTER, "abc123")
            await sending.leave()
    (mail,) = host.mails
    assert mail["Subject"] == "Grüße Bcc: eve@example.com"
    assert mail["Bcc"] is None
    assert mail["To"] == "ann@example.com, bob@example.com"
    assert mail["From"] == f"Headcount <{FROM}>"
    assert mail["Message-ID"] == "<abc123@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n") == LETTER.text


async def test_a_mail_with_html_is_sent_as_both_with_the_text_first(tmp_path: Path) -> None:
    with MailHost(tmp_path) as host:
        async with mailer(host) as sending:
            await sending.send(["ann@example.com"], Letter("Hello", "Grüße", "<p>Grüße</p>"), "abc123")
    (mail,) = host.mails
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().strip() for part in mail.iter_parts()] == ["Grüße", "<p>Grüße</p>"]


@pytest.mark.parametrize(("scheme", "tls"), [("smtp+starttls", "starttls"), ("smtp", "starttls"), ("smtps", "smtps")])
async def test_a_login_goes_over_tls(tmp_path: Path, trust: TrustFile, scheme: str, tls: str) -> None:
    with MailHost(tmp_path, tls=tls, login=LOGIN) as host:
        trust(host.ca)
        async with mailer(host, scheme, "headcount:s3cret%3A%2F%40@") as sending:
            for number in range(3):
                await sending.send(["ann@example.com"], LETTER, f"m{number}")
    assert len(host.mails) == 3
    assert host.logins == 1, "one connection for all"


async def test_a_wrong_password_does_not_give_up_a_mail(tmp_path: Path, trust: TrustFile) -> None:
    with MailHost(tmp_path, tls="starttls", login=LOGIN) as host:
        trust(host.ca)
        async with mailer(host, "smtp+starttls", "headcount:wrong@") as sending:
            with pytest.raises(ServerAway, match="refused the login"):
                await sending.send(["ann@example.com"], LETTER, "m")
    assert host.mails == []


async def test_a_mail_server_with_an_untrusted_certificate_gets_no_mail(tmp_path: Path) -> None:
    with MailHost(tmp_path, tls="starttls") as host:
        async with mailer(host, "smtp+starttls") as sending:
            with pytest.raises(ServerAway):
                await sending.send(["ann@example.com"], LETTER, "m")
    assert host.mails == []


async def test_a_mail_server_without_the_required_starttls_gets_no_mail(tmp_path: Path) -> None:
    with MailHost(tmp_path) as host:
        async with mailer(host, "smtp+starttls") as sending:
            with pytest.raises(ServerAway, match="does not offer"):
                await sending.send(["ann@example.com"], LETTER, "m")
    assert host.mails == []


async def test_a_password_is_never_sent_without_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MailServer, "is_here", False)
    with MailHost(tmp_path) as host:
        async with mailer(host, "smtp", "headcount:secret@") as sending:
            with pytest.raises(ServerAway, match="offers no TLS"):
                await sending.send(["ann@example.com"], LETTER, "m")
    assert host.logins == 0


@pytest.mark.parametrize(("answer", "for_good"), [("550 no such user", True), ("451 try later", False)])
async def test_a_permanent_refusal_is_not_retried_and_a_temporary_one_is(
    tmp_path: Path, answer: str, for_good: bool
) -> None:
    with MailHost(tmp_path) as host:
        async with mailer(host) as sending:
            host.refuses["ann@example.com"] = answer
            with pytest.raises(MailRefused) as at_recipient:
                await sending.send(["ann@example.com"], LETTER, "m")
            host.answer = lambda mail: answer
            with pytest.raises(MailRefused) as at_data:
                await sending.send(["bob@example.com"], LETTER, "m")
            host.answer = lambda mail: None
            await sending.send(["bob@example.com"], LETTER, "m")
    assert at_recipient.value.for_good is at_data.value.for_good is for_good
    assert "ann" not in str(at_recipient.value), "what the server says may name people"
    assert len(host.mails) == 1


async def test_a_refused_recipient_does_not_stop_the_others(tmp_path: Path) -> None:
    with MailHost(tmp_path) as host:
        host.refuses["ann@example.com"] = "550 gone"
        async with mailer(host) as sending:
            note = await sending.send(["ann@example.com", "bob@example.com"], LETTER, "m")
    assert len(host.mails) == 1
    assert note == "the mail server refused 1 of 2 addresses (550)"


async def test_a_mail_server_that_hangs_is_given_up_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailHost(tmp_path) as host:
        host.answer = lambda mail: ""
        async with mailer(host, timeout_s=1) as sending:
            with pytest.raises(ServerAway, match="in time"):
                await sending.send(["ann@example.com"], LETTER, "m")
            host.answer = lambda mail: None
            monkeypatch.setattr(sending, "_timeout_s", DEADLINE_S)
            await sending.send(["ann@example.com"], LETTER, "m")
    assert len(host.mails) == 1


async def test_a_mail_interrupted_by_the_mail_server_is_sent_again_with_the_same_id(tmp_path: Path) -> None:
    with MailHost(tmp_path) as host:
        host.dies_at_data = True
        async with mailer(host) as sending:
            with pytest.raises(ServerAway):
                await sending.send(["ann@example.com"], LETTER, "m")
            host.dies_at_data = False
            await sending.send(["ann@example.com"], LETTER, "m")
    assert host.ids == ["<m@example.com>"] * 2


async def test_a_mail_server_that_cannot_be_reached_is_away(tmp_path: Path) -> None:
    with MailHost(tmp_path) as host:
        host.go_away()
        async with mailer(host) as sending:
            with pytest.raises(ServerAway, match="cannot be reached"):
                await sending.send(["ann@example.com"], LETTER, "m")
            host.come_back()
            await sending.send(["ann@example.com"], LETTER, "m")
    assert len(host.mails) == 1


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?eve=40evil.example=2Cx?=@example.com",
        "=?utf-8?q?=0D=0ABcc=3A_eve?=@example.com",
        "=?a?q?x?=y@e.example",
    ],
)
async def test_an_address_with_an_encoded_word_gets_no_mail(tmp_path: Path, address: str) -> None:
    """The address is valid, but a header would decode it into the address of another person."""
    with MailHost(tmp_path) as host:
        async with mailer(host) as sending:
            with pytest.raises(MailRefused) as refused:
                await sending.send([address], LETTER, "m")
    assert refused.value.for_good
    assert host.tries == 0


@pytest.mark.parametrize(
    "name", ["=?utf-8?q?x=0D=0ABcc=3A_eve=40evil.example?=", "=?utf-8?q?=0D=0A=0D=0Abody?=", "==??utf-8?q?=FF?= Zoë"]
)
async def test_an_encoded_word_in_a_subject_adds_no_header(tmp_path: Path, name: str) -> None:
    with MailHost(tmp_path) as host:
        async with mailer(host) as sending:
            await sending.send(["ann@example.com"], Letter(f"Welcome, {name}", "Hello."), "m")
    (mail,) = host.mails
    assert mail["Subject"] == f"Welcome, {name.replace('=?', '= ?')}"
    assert mail["Bcc"] is None
    assert mail["Message-ID"]
    assert mail.get_content().strip() == "Hello."


async def test_addresses_in_other_scripts_get_mail(tmp_path: Path) -> None:
    with MailHost(tmp_path) as host:
        async with mailer(host) as sending:
            await sending.send(["ann@bücher.example"], LETTER, "m1")
            await sending.send(["zoë@example.com"], LETTER, "m2")
    assert host.mails[0]["To"] == "ann@xn--bcher-kva.example"
    assert host.mails[1]["To"] == "zoë@example.com"
    assert deliverable("plain@example.test") == "plain@example.test"


def test_the_sender_is_the_setting_else_the_login_else_this_machine() -> None:
    server = MailServer.from_url("smtps://hr%40example.com:x@mail.example.com")
    assert (server.port, server.user, server.password) == (465, "hr@example.com", "x")
    assert sender_of(server, "a@example.com") == "a@example.com"
    assert sender_of(server, None) == "hr@example.com"
    assert sender_of(MailServer.from_url("smtp://mail.example.com"), None).startswith("headcount@")
