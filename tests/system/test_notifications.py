"""The real server sends mails and webhooks to real servers: none is lost, only those in progress are repeated."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mailserver import MailHost
from tests.support.mortal_server import INVITE_STEPS, TELL_STEPS, WEBHOOK_STEPS
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.webhost import WebHost

pytestmark = needs("sftp")

LOGIN = ("headcount", "secret")
SENT = {
    'headcount_deliveries_total{channel="webhook",result="sent"} 1.0',
    'headcount_outbox_length{channel="mail"} 0.0',
}
END_STEPS = ("after its commit", "before its end is written", "after its end is written")


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailHost]:
    with MailHost(tmp_path) as host:
        yield host


@pytest.fixture
def server(tmp_path: Path, mail: MailHost) -> Iterator[ServerProcess]:
    """A server that can be killed at a step, with a mail server. It is not started yet."""
    env = {
        "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "HEADCOUNT_SMTP_FROM": "headcount@example.com",
        "HEADCOUNT_WEBHOOK_ALLOW_PRIVATE": "true",
        "HEADCOUNT_HTTP_PUBLIC_URL": "https://hr.example.com",
    }
    made = ServerProcess(tmp_path, entry="tests.support.mortal_server", env=env)
    try:
        yield made
    finally:
        made.end()


def send(server: ServerProcess, content: bytes) -> None:
    """Send a file to a server that may be killed before its client hears the OK: then the file has landed, too."""
    local = server.folder / "sent.csv"
    local.write_bytes(content)
    server.sftp("acme", f'put "{local}" /sync_users.csv')


def all_sent(server: ServerProcess, count: int) -> None:
    """Wait until `count` messages were sent, and none waits."""

    def over() -> bool:
        messages = server.cli("notify", "list", "acme", "--json").json
        return [message["state"] for message in messages] == ["sent"] * count

    wait_until(over, 30, "everything to be sent")


@pytest.mark.parametrize("step", [*TELL_STEPS, *END_STEPS])
def test_a_server_killed_at_each_step_of_a_mail_loses_none(server: ServerProcess, mail: MailHost, step: str) -> None:
    server.start(HEADCOUNT_TEST_STEP=step)
    server.add_tenant("acme", notify_email="hr@example.com")
    send(server, people("ann"))
    assert server.died() == -9
    server.start()
    all_sent(server, 1)
    assert len(set(mail.ids)) == 1
    assert len(mail.ids) == (2 if step == "after a mail" else 1)


@pytest.mark.parametrize("step", WEBHOOK_STEPS)
def test_a_server_killed_at_each_step_of_a_webhook_loses_none(server: ServerProcess, step: str) -> None:
    with WebHost() as web:
        server.start(HEADCOUNT_TEST_STEP=step)
        server.add_tenant("acme", notify_webhook=web.url)
        send(server, people("ann"))
        assert server.died() == -9
        server.start()
        all_sent(server, 1)
        assert len({call.headers["webhook-id"] for call in web.calls}) == 1
        assert len({call.body for call in web.calls}) == 1
        assert len(web.calls) == (2 if step == "after a webhook" else 1)


@pytest.mark.parametrize("step", INVITE_STEPS)
def test_a_server_killed_at_each_step_of_an_invitation_invites_all_users(
    server: ServerProcess, mail: MailHost, step: str
) -> None:
    names = [f"p{number}" for number in range(20)]
    server.start(HEADCOUNT_TEST_STEP=step)
    server.add_tenant("acme", invitations="immediately")
    send(server, people(*names))
    assert server.died() == -9
    server.start()
    sent = 21 if step == "after an invitation" else 20
    wait_until(lambda: len(mail.ids) >= sent, what="every invitation")
    assert server.stop() == 0
    assert {each["To"] for each in mail.mails} == {f"{name}@example.com" for name in names}
    assert len(set(mail.ids)) == 20
    assert len(mail.ids) == sent
    assert server.report("acme")["counts"]["invitations"] == 20


def test_a_server_killed_while_sending_loses_no_mail(server: ServerProcess, mail: MailHost) -> None:
    server.start()
    server.add_tenant("acme", invitations="immediately")
    server.put("acme", people(*(f"p{number}" for number in range(100))))
    for count in (10, 40, 70):
        wait_until(lambda count=count: len(mail.mails) >= count, 30)  # type: ignore[misc]
        server.kill()
        server.start()
    wait_until(lambda: len(set(mail.ids)) == 100, 30)
    assert server.stop() == 0
    assert len(mail.ids) <= 103


def test_a_held_import_invites_no_user_and_its_mail_names_those_to_deactivate(
    server: ServerProcess, mail: MailHost
) -> None:
    server.start()
    settings = {"deactivate_missing": "true", "max_creations_percent": "10", "notify_email": "hr@example.com"}
    server.add_tenant("acme", invitations="immediately", **settings)
    old = people(*(f"old{number}" for number in range(30)))
    server.put("acme", old)
    wait_until(lambda: len(mail.mails) == 31, 30)
    server.put("acme", people(*(f"new{number}" for number in range(5000))))
    report = server.wait("acme")
    assert (report["state"], report["counts"]["invitations"]) == ("held", 5000)
    all_sent(server, 2)
    held = mail.mails[-1]
    assert held["Subject"] == "[Headcount] acme: import 2 is held: approve or discard"
    parts = [part.get_content().replace("\r\n", "\n") for part in held.iter_parts()]
    assert [part.count("@example.com, Old") for part in parts] == [20, 20]
    assert "\nhttps://hr.example.com/tenants/acme/imports/2\n" in parts[0]
    assert 'href="https://hr.example.com/tenants/acme/imports/2"' in parts[1]
    server.put("acme", old)
    assert server.wait("acme")["state"] == "unchanged"
    assert server.stop() == 0
    assert len(mail.mails) == 32, "and none of the 5,000 users"


def test_mail_goes_over_tls_and_webhooks_are_signed(tmp_path: Path) -> None:
    with MailHost(tmp_path, tls="starttls", login=LOGIN) as mail, WebHost() as web:
        env = {
            "HEADCOUNT_SMTP_URL": f"smtp+starttls://headcount:secret@127.0.0.1:{mail.port}",
            "SSL_CERT_FILE": str(mail.ca),
            "HEADCOUNT_WEBHOOK_ALLOW_PRIVATE": "true",
        }
        with ServerProcess(tmp_path, env=env) as server:
            server.add_tenant("acme", notify_email="hr@example.com,it@example.com", notify_webhook=web.url)
            assert server.cli("notify", "test", "acme").code == 0
            all_sent(server, 2)
            secret = server.cli("notify", "secret", "acme").text.strip()
            wait_until(lambda: set(server.get("/metrics").text.splitlines()) >= SENT, what="the metrics")
            assert "secret" not in server.log.read_text()
        assert mail.mails[0]["To"] == "hr@example.com, it@example.com"
        (call,) = web.calls
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
        mac = base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
        assert call.headers["webhook-signature"] == f"v1,{mac}"


def test_webhooks_to_private_addresses_need_the_operators_setting(tmp_path: Path) -> None:
    with WebHost() as web, ServerProcess(tmp_path) as server:
        server.add_tenant("acme", notify_webhook=web.url)
        server.cli("notify", "test", "acme")

        def tried() -> str | None:
            (message,) = server.cli("notify", "list", "acme", "--json").json
            error: str | None = message["error"]
            return error

        assert "the address is not public" in (wait_until(tried) or "")
        assert web.calls == []


def test_a_test_notification_without_an_address_is_refused(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        refused = server.cli("notify", "test", "acme", check=False)
        assert refused.code == 1
        assert "notify_email" in refused.err
        assert server.cli("notify", "list", "acme", "--json").json == []


def test_a_stale_feed_is_notified_once(server: ServerProcess, mail: MailHost) -> None:
    server.start()
    server.add_tenant("acme", notify_email="hr@example.com", stale_after_days="1")
    server.stop()
    made_long_ago(server)
    for _ in range(2):
        server.start()
        all_sent(server, 1)
        server.stop()
    assert [each["Subject"] for each in mail.mails] == ["[Headcount] acme: no file for 1 day"]


def made_long_ago(server: ServerProcess) -> None:
    server.stored.date_tenants("2020-01-01T00:00:00.000Z")


def test_mails_without_links_are_warned_of_at_the_start(server: ServerProcess) -> None:
    server.start(HEADCOUNT_HTTP_PUBLIC_URL="")
    server.stop()
    (warned,) = [line for line in server.lines() if line["event"] == "mails_without_links"]
    assert warned["message"] == "Mails have no links: set HEADCOUNT_HTTP_PUBLIC_URL to the address of the page."
    server.start()
    server.stop()
    assert [line for line in server.lines() if line["event"] == "mails_without_links"] == []


def test_a_weekly_digest_is_sent_once_also_over_restarts(server: ServerProcess, mail: MailHost) -> None:
    server.start()
    server.add_tenant("acme", notify_email="hr@example.com", notify_digest="weekly")
    server.add_tenant("globex", notify_email="hr@globex.example")
    server.stop()
    made_long_ago(server)
    server.stored.forget_digests()
    for _ in range(2):
        server.start()
        all_sent(server, 1)
        server.stop()
    (digest,) = mail.mails
    assert digest["Subject"].startswith("[Headcount] acme: week to ")
    assert [part.get_content_type() for part in digest.iter_parts()] == ["text/plain", "text/html"]
