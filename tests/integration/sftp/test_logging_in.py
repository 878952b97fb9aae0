"""Logins with a real server and real clients: which keys log in to which tenant, and until when."""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import paramiko
import pytest

from server.places import place_of
from server.sftp.auth import KeyAuthentication
from server.tenants.tenants import Tenants
from tests.support.clients import client, needs
from tests.support.installation import Installation, accounts_of, installation
from tests.support.keypairs import keypair, public_line
from tests.support.waiting import DEADLINE_S, eventually, wait_until

MAX_TRIES = 6


class Counter:
    """Metrics that count logins."""

    def __init__(self) -> None:
        self.logins: list[tuple[str, str]] = []

    def login(self, tenant: str, result: str) -> None:
        self.logins.append((tenant, result))


class House:
    """A tenant `acme` with a key, and a server that only handles logins."""

    def __init__(self, stored: Installation, tenants: Tenants) -> None:
        self.tenants = tenants
        self.accounts = accounts_of(place_of(stored.settings()), tenants)
        self.counter = Counter()
        self.now = datetime.now(UTC)
        self.connections: list[KeyAuthentication] = []
        self.port = 0

    def connection(self) -> KeyAuthentication:
        made = KeyAuthentication(self.accounts, self.counter, max_tries=MAX_TRIES, clock=lambda: self.now)  # type: ignore[arg-type]
        self.connections.append(made)
        return made

    async def log_in(self, *keys: asyncssh.SSHKey, user: str = "acme", **options: object) -> None:
        """Connect and disconnect. Raises asyncssh.PermissionDenied."""
        async with asyncssh.connect(
            "127.0.0.1", self.port, username=user, client_keys=list(keys), known_hosts=None, config=None,
            agent_path=None, **options,  # type: ignore[arg-type]
        ):  # fmt: skip
            pass


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    stored = installation(tmp_path / "data")
    async with stored.open() as tenants:
        await tenants.add("acme", [public_line()])
        house = House(stored, tenants)
        acceptor = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=house.connection, server_host_keys=[keypair(number=99)], config=None
        )
        house.port = acceptor.get_port()
        async with acceptor:
            yield house
        house.accounts.close()


async def test_a_key_of_the_ring_logs_in_and_counts_once(house: House) -> None:
    await house.log_in(keypair())
    login = house.connections[0].login
    assert login is not None
    assert (login.tenant, login.fingerprint) == ("acme", (await house.tenants.ring("acme").keys())[0].fingerprint)
    await eventually(lambda: house.counter.logins == [("acme", "accepted")])


@pytest.mark.parametrize("user", ["acme", "initech", "root", "ACME", "../acme", "", "açme"])
async def test_a_wrong_key_and_an_unknown_name_get_the_same_answer(house: House, user: str) -> None:
    with pytest.raises(asyncssh.PermissionDenied) as caught:
        await house.log_in(keypair(number=1), user=user or " ")
    assert str(caught.value).startswith("Permission denied for user")
    expected = [("acme" if user == "acme" else "", "refused")]
    await eventually(lambda: house.counter.logins == expected)


async def test_several_wrong_keys_may_be_offered_before_the_right_one(house: House) -> None:
    await house.log_in(keypair(number=1), keypair(number=2), keypair())
    assert house.counter.logins == [("acme", "accepted")]


@pytest.mark.parametrize("algorithm", ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"])
async def test_ecdsa_keys_log_in(house: House, algorithm: str) -> None:
    await house.tenants.ring("acme").add(public_line(algorithm))
    await house.log_in(keypair(algorithm))


@pytest.mark.parametrize(
    ("signature", "allowed"), [("rsa-sha2-256", True), ("rsa-sha2-512", True), ("ssh-rsa", False)]
)
async def test_rsa_keys_log_in_with_sha_2_signatures_only(house: House, signature: str, allowed: bool) -> None:
    await house.tenants.ring("acme").add(public_line("ssh-rsa", key_size=2048))
    key = keypair("ssh-rsa", key_size=2048)
    if allowed:
        await house.log_in(key, signature_algs=[signature])
    else:
        with pytest.raises(asyncssh.PermissionDenied):
            await house.log_in(key, signature_algs=[signature])


async def test_a_certificate_for_a_key_of_the_ring_does_not_log_in(house: House) -> None:
    certificate = keypair().generate_user_certificate(keypair(number=5), "me", principals=["acme"])
    with pytest.raises(asyncssh.PermissionDenied):
        await house.log_in((keypair(number=5), certificate))  # type: ignore[arg-type]


async def test_a_key_offered_without_a_signature_is_not_a_login(house: House) -> None:
    def probe() -> None:
        transport = paramiko.Transport(("127.0.0.1", house.port))
        try:
            transport.start_client(timeout=DEADLINE_S)
            with pytest.raises(paramiko.SSHException):
                transport.auth_publickey("acme", _Unwilling(keypair().export_private_key("openssh").decode()))
        finally:
            transport.close()

    await asyncio.to_thread(probe)
    await eventually(lambda: house.counter.logins == [("acme", "refused")])


async def test_a_connection_has_a_limited_number_of_login_attempts(house: House) -> None:
    keys = [keypair(number=number) for number in range(10, 10 + MAX_TRIES)]
    with pytest.raises(asyncssh.Error, match="Too many authentication failures"):
        await house.log_in(*keys, keypair())
    await eventually(lambda: house.counter.logins == [("acme", "refused")])


async def test_passwords_count_as_login_attempts(house: House) -> None:
    guess = paramiko.Message()
    guess.add_byte(bytes([50]))  # USERAUTH_REQUEST
    for text in ("acme", "ssh-connection", "password"):
        guess.add_string(text)
    guess.add_boolean(False)
    guess.add_string("a guess")

    def keep_guessing() -> None:
        transport = paramiko.Transport(("127.0.0.1", house.port))
        try:
            transport.start_client(timeout=DEADLINE_S)
            with pytest.raises(paramiko.BadAuthenticationType):
                transport.auth_password("acme", "the first", fallback=False)
            for _ in range(MAX_TRIES - 2):
                transport._send_user_message(guess)
            assert transport.is_active()
            transport._send_user_message(guess)
            wait_until(lambda: not transport.is_active(), what="the connection to be ended")
        finally:
            transport.close()

    await asyncio.to_thread(keep_guessing)


async def test_the_key_of_another_tenant_does_not_log_in(house: House) -> None:
    await house.tenants.add("initech", [public_line(number=1)])
    await house.log_in(keypair(number=1), user="initech")
    with pytest.raises(asyncssh.PermissionDenied):
        await house.log_in(keypair(number=1), user="acme")


async def test_a_key_logs_in_until_it_expires(house: House) -> None:
    tomorrow = (house.now + timedelta(days=1)).date()
    await house.tenants.ring("acme").add(public_line(number=1), expires=tomorrow.isoformat())
    await house.log_in(keypair(number=1))
    assert house.connections[0].reason_to_end() is None
    house.now += timedelta(days=3)
    assert "expired" in (house.connections[0].reason_to_end() or "")
    with pytest.raises(asyncssh.PermissionDenied):
        await house.log_in(keypair(number=1))


async def test_a_key_logs_in_only_from_its_networks(house: House) -> None:
    await house.tenants.ring("acme").add(public_line(number=1), networks=["192.0.2.0/24"])
    await house.tenants.ring("acme").add(public_line(number=2), networks=["127.0.0.0/8"])
    await house.log_in(keypair(number=2))
    with pytest.raises(asyncssh.PermissionDenied):
        await house.log_in(keypair(number=1))


async def test_clients_of_a_tenant_log_in_only_from_its_networks(house: House) -> None:
    await house.tenants.change_settings("acme", {"allowed_networks": "192.0.2.0/24"})
    with pytest.raises(asyncssh.PermissionDenied):
        await house.log_in(keypair())


async def test_a_client_with_a_revoked_key_may_not_stay(house: House) -> None:
    ring = house.tenants.ring("acme")
    await ring.add(public_line(number=1))
    await house.log_in(keypair(number=1))
    connection = house.connections[0]
    assert connection.reason_to_end() is None
    await ring.revoke((await ring.keys())[1].fingerprint)
    await ends(connection, "the tenant has no such key")


async def test_a_client_of_a_removed_tenant_may_not_stay(house: House) -> None:
    await house.log_in(keypair())
    await house.tenants.remove("acme")
    await ends(house.connections[0], "no tenant has this name")
    await house.tenants.add("acme")
    await ends(house.connections[0], "the tenant has no such key")


async def ends(connection: KeyAuthentication, why: str) -> None:
    """Wait until a connection has to end for this reason; in some engines, accounts are read again after a while."""
    await eventually(lambda: connection.reason_to_end() == why)


async def test_a_user_name_that_may_be_a_password_is_not_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server")
    with pytest.raises(asyncssh.PermissionDenied):
        await house.log_in(keypair(number=1), user="Correct horse")
    await eventually(lambda: "A login was refused" in caplog.text)
    assert "Correct" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("server")
    )


@needs("ssh", "ssh-keygen")
async def test_openssh_logs_in_with_an_rsa_key_of_ssh_keygen(house: House, tmp_path: Path) -> None:
    key = tmp_path / "id_rsa"
    subprocess.run([client("ssh-keygen"), "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", key], check=True)
    await house.tenants.ring("acme").add(key.with_suffix(".pub").read_text())
    command = [
        client("ssh"), "-F", "/dev/null", "-p", str(house.port), "-i", str(key), "-o", "IdentitiesOnly=yes",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
        "acme@127.0.0.1", "true",
    ]  # fmt: skip
    ssh = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert await ssh.wait() != 0, "the server has no shell"
    assert house.counter.logins == [("acme", "accepted")]


class _Unwilling(paramiko.Ed25519Key):
    """Offers a public key without a valid signature."""

    def __init__(self, text: str) -> None:
        super().__init__(file_obj=io.StringIO(text))

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        signature = super().sign_ssh_data(data, algorithm).asbytes()
        return paramiko.Message(signature[:-1] + bytes([signature[-1] ^ 1]))
