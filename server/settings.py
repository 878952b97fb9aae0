"""The settings of the server, and the only reader of the environment.

A setting is the environment variable `HEADCOUNT_<NAME>`, or the same name in lower case in the TOML file that
`HEADCOUNT_CONFIG` names; the environment wins. An empty variable counts as not set. The settings of a tenant are in
`server/tenants/settings.py`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from engine.s3.urls import parse_bucket
from keys.ring import parse_network
from server.networks import Networks
from server.setting_errors import Quoted, nearest, reason

PREFIX = "HEADCOUNT_"
CONFIG = f"{PREFIX}CONFIG"
DATABASE_URL = re.compile(r"postgres(ql)?://(?=.)([^@/]*@)?[^@/?]*(/[^@?]*)?(\?.*)?")
"""A raw @ or / in a password would make its rest a part of the host or the name, which messages show."""
MAY_HOLD_PASSWORDS = {"smtp_url", "http_public_url", "database_url", "files_url"}
"""Settings whose wrong values are not quoted."""

ACCESS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Variables with the access key of S3."""

GIVEN_TO_HOOKS = ("TENANT", "HOOK", "PATH", "NAME", "SIZE", "SHA256", "UPLOADED_AT", "ATTEMPT", "FILE")
"""The variables, after PREFIX, that the command of a hook gets; they are not settings."""


class SettingsError(Exception):
    """Server settings are not valid. `str(error)` is one sentence that names the first.

    `settings` has the sentence about each wrong setting, by the place where it is set.
    """

    def __init__(self, message: str, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.settings = dict(settings or {})


def _has_port(parts: SplitResult) -> bool:
    """Return whether the URL has no port, or one that is valid."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _is_address_of_pages(url: str) -> bool:
    """Return whether links can begin with `url`: it is http or https, a host, and perhaps a port, and nothing more.

    The pages link to absolute paths, so a proxy cannot serve them below a path.
    """
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?/?", url, re.IGNORECASE):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:  # an address in brackets that is not IPv6
        return False
    return bool(parts.hostname) and _has_port(parts)


def _lowered(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _modules(value: object) -> object:
    """Return names of modules, from a list or from text separated by commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be names of modules separated by commas")
    names = [name for part in parts if (name := str(part).strip())]
    wrong = [name for name in names if name.endswith(".py") or not all(map(str.isidentifier, name.split(".")))]
    if wrong:
        raise Quoted(f"“{wrong[0]}” is not the name of a module, such as my_hooks")
    return tuple(names)


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
SecondsOrOff = Annotated[float, Field(ge=0, le=86_400)]
AtLeastOne = Annotated[int, Field(ge=1)]
Host = Annotated[str, Field(min_length=1)]
LOOPBACK = (parse_network("127.0.0.1"), parse_network("::1"))


class ServerSettings(BaseSettings):
    """The settings of the server. Frozen; the names in upper case after `HEADCOUNT_` are public."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    data_dir: Path = Path("./data")
    # PostgreSQL in place of the data folder.
    database_url: SecretStr | None = None
    # At least 32 random bytes, which seal the secrets in the database.
    secret_key_file: Path | None = None
    # S3-compatible storage for the bytes of files, in place of the database.
    files_url: str | None = None
    # The access key for it, unless it is in the environment.
    files_key_file: Path | None = None
    sftp_host: Host = "0.0.0.0"  # noqa: S104 - clients connect from outside
    sftp_port: Port = 2222
    # Shown to clients as the address to connect to, if it differs from this machine and port.
    sftp_public_host: Host | None = None
    sftp_public_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    http_host: Host = "127.0.0.1"
    http_port: Port = 8080
    # The address of the pages as their readers open it, for links in mails. Without a slash at its end.
    http_public_url: str | None = None
    # Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    http_trusted_proxies: Annotated[Networks, NoDecode] = LOOPBACK
    # Load balancers whose PROXY header, sent before the SSH handshake, is believed.
    trusted_balancers: Annotated[Networks, NoDecode] = ()
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lowered)] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lowered)] = "info"
    smtp_url: SecretStr | None = None
    smtp_from: str | None = None
    webhook_allow_private: bool = False
    metrics_auth: Annotated[Literal["none", "operator"], BeforeValidator(_lowered)] = "none"
    sftp_legacy_algorithms: bool = False

    # Limits. In total; unset: derived from the descriptor limit of the process.
    max_connections: AtLeastOne | None = None
    max_handshakes: AtLeastOne | None = None
    # Per source address:
    max_handshakes_per_address: AtLeastOne = 100
    unbanned_networks: Annotated[Networks, NoDecode] = ()
    # Seconds added to the penalty of a source by a connection without a login. A ban begins at penalty_min_s.
    penalty_no_login_s: SecondsOrOff = 1  # 0: no penalty
    penalty_refused_s: SecondsOrOff = 5
    penalty_grace_s: SecondsOrOff = 10
    penalty_min_s: Seconds = 15
    penalty_max_s: Seconds = 600
    # HTTP. None: 1,000, or an eighth of the descriptors if that is less.
    max_http_connections: Annotated[int, Field(ge=8)] | None = None
    max_event_streams_per_token: AtLeastOne = 50
    # Per tenant:
    max_tenant_handles: AtLeastOne = 1000
    # Per connection:
    max_auth_tries: AtLeastOne = 20  # agents offer many keys
    max_channels: AtLeastOne = 10
    max_handles: AtLeastOne = 128
    max_read_bytes: Annotated[int, Field(ge=32_768, le=16 * 1024 * 1024)] = 256 * 1024
    login_grace_s: Seconds = 30
    idle_timeout_s: SecondsOrOff = 900  # 0: never
    keepalive_s: SecondsOrOff = 15  # 0: none
    keepalive_misses: AtLeastOne = 3
    # Seconds that a stopping server gives requests and the running import to end.
    stop_grace_s: SecondsOrOff = 30

    # Modules of hooks, beside those of installed packages.
    hooks: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_modules)] = ()
    # The file of hooks that are a command or a URL.
    hooks_file: Path | None = None

    def chosen(self) -> dict[str, int | None]:
        """Return the whole numbers that were set explicitly, by name."""
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: value for name, value in values.items() if type(value) is int}

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            if parts.scheme not in {"smtp", "smtp+starttls", "smtps"} or not parts.hostname or not _has_port(parts):
                raise ValueError("must look like smtp+starttls://user:password@host:587 or smtps://host")
        return url

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not DATABASE_URL.fullmatch(url.get_secret_value()):
            raise ValueError(
                "must look like postgresql://user:password@host:5432/name, with %40 for an @ and %2F for a / in the "
                "password"
            )
        return url

    @field_validator("files_url")
    @classmethod
    def _files(cls, url: str | None) -> str | None:
        if url is not None:
            parse_bucket(url)
        return url

    @field_validator("http_public_url")
    @classmethod
    def _pages(cls, url: str | None) -> str | None:
        if url is not None and not _is_address_of_pages(url):
            raise ValueError("must be a web address without path and query, such as https://headcount.example.com")
        return url.rstrip("/") if url else None

    @field_validator("smtp_from")
    @classmethod
    def _sender(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", address):
            raise ValueError("must be an email address without a name, such as headcount@example.com")
        return address

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = os.environ.get(CONFIG)
        if not config:
            return init_settings, env_settings
        return init_settings, env_settings, InitSettingsSource(settings_cls, _from_toml(Path(config)))


class _Chosen:
    """The data folder that the command line names, which wins over the environment."""

    data_dir: Path | None = None


def choose_data_dir(folder: Path | None) -> None:
    """Let `load_settings` return this data folder from now on; None ends that."""
    _Chosen.data_dir = folder


def load_settings() -> ServerSettings:
    """Return the settings of this process: environment, then the TOML file, then defaults.

    The folder of `choose_data_dir` wins over all of them. Raises SettingsError, which names every wrong setting.
    """
    chosen: dict[str, Any] = {} if _Chosen.data_dir is None else {"data_dir": _Chosen.data_dir}
    try:
        settings = ServerSettings(**chosen)
    except ValidationError as error:
        raise _wrong(error) from None
    if chosen and settings.database_url:
        where = _source("database_url")
        raise SettingsError(f"{where} names a database, so there is no data folder. Leave out --data-dir")
    return settings


def unknown_variables() -> list[str]:
    """Return a sentence for each variable HEADCOUNT_* of this process that Headcount does not know."""
    settings = [name.upper() for name in ServerSettings.model_fields]
    known = {*settings, *GIVEN_TO_HOOKS, CONFIG.removeprefix(PREFIX)}
    found = []
    for variable in sorted(name for name, value in os.environ.items() if value):
        prefix, name = variable[: len(PREFIX)], variable[len(PREFIX) :].upper()
        if prefix.upper() == PREFIX and name not in known:
            near = difflib.get_close_matches(name, settings, 1)
            found.append(f"{variable} is not a setting{f'; did you mean {PREFIX}{near[0]}?' if near else ''}")
    return found


def colors_wanted() -> bool:
    """Return whether a terminal may show colors: NO_COLOR is not set, and TERM is not `dumb`."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def environment_of_hooks() -> dict[str, str]:
    """Return the environment of this process without the server's settings, which have passwords.

    With files in S3, it has no access key of AWS either: that may be the server's.
    """
    hidden = ACCESS_KEYS if _uses_s3() else ()
    names = (name for name in os.environ if not name.upper().startswith(PREFIX) and name not in hidden)
    return {name: os.environ[name] for name in names}


def debugging() -> bool:
    """Return whether the log level is debug; False if the settings are not valid."""
    try:
        return load_settings().log_level == "debug"
    except SettingsError:
        return False


def _uses_s3() -> bool:
    """Return whether files are in S3, or may be because the settings are not valid."""
    try:
        return load_settings().files_url is not None
    except SettingsError:
        return True


def environment_of_programs() -> dict[str, str]:
    """Return the variables of this process that the commands of hooks get too: PATH, LANG and TZ."""
    own = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return {"PATH": os.defpath, **own}


def _from_toml(path: Path) -> dict[str, object]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{CONFIG} names {path}, which cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{CONFIG} names {path}, which is not valid TOML: {error}") from None
    return values


def _wrong(error: ValidationError) -> SettingsError:
    """Return the error that names every wrong setting, with a sentence about the first."""
    wrong: dict[str, str] = {}
    for details in error.errors(include_url=False):
        name = str(details["loc"][0])
        if details["type"] == "extra_forbidden":
            wrong.setdefault(_source(name), f"is not a setting{nearest(name, ServerSettings.model_fields)}")
        else:
            wrong.setdefault(_source(name), reason(details, secret=name in MAY_HOLD_PASSWORDS))
    where, sentence = next(iter(wrong.items()))
    return SettingsError(f"{where}: {sentence}", wrong)


def _source(name: str) -> str:
    """Return where the value of `name` was set: the variable, or the name and the TOML file."""
    variable = f"{PREFIX}{name.upper()}"
    if any(os.environ.get(given) for given in os.environ if given.upper() == variable):
        return variable
    return f"{name} in {os.environ.get(CONFIG)}"
