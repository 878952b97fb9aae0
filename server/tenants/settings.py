"""The settings of one tenant: their model, validation and storage. A change is applied completely or not at all.

Only settings that differ from their defaults are stored, in the tenant's users.db.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ground.moments import from_rfc3339, rfc3339, utc_now
from ground.refusals import Refusal
from importer.errors import Refused
from importer.model import INTEGER_MAX, shown
from importer.rules.cells import LANGUAGES, Invalid
from importer.rules.emails import check_email
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings, Unfit
from importer.users.settled import SettingChange, Settled, Texts
from importer.users.users import Users
from server.networks import Networks
from server.setting_errors import Quoted, nearest, place, reason
from server.tenants.hook_settings import HookNames, HookValues, KnownHooks, unknown_hooks, wrong_values
from server.tenants.invitation_template import InvitationTemplate
from server.tenants.setting_texts import add_texts

READ_TIMEOUT_S = 2.0
LONGEST_PAUSE = timedelta(days=366)
CHANGED_MEANWHILE = (
    "The settings changed after you loaded them. Nothing was changed. Load them again, check the differences, and "
    "repeat your change."
)

NO_LINK = (
    "an invitation needs a link. Add one that begins with https:// to each text in invitation_templates, and add a "
    "text in “en”. Or ask the operator to set HEADCOUNT_HTTP_PUBLIC_URL"
)


class TenantRefused(Refusal):
    """A refused operation on a tenant. `code` is stable; `message` is a sentence that says what to do.

    `settings` maps the name of each wrong setting to a sentence to show beside it. `setting` is the one that
    `message` is about.
    """

    def __init__(self, code: str, message: str, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.settings = dict(settings or {})

    @property
    def setting(self) -> str | None:
        return next(iter(self.settings), None)


def no_tenant(name: str) -> TenantRefused:
    return TenantRefused("no_tenant", f"there is no tenant {name}; see: headcount tenant list")


def _addresses(value: object) -> object:
    """Return email addresses as they are stored, from a list or from text separated by commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be email addresses separated by commas")
    found = [(text, check_email(text)) for part in parts if (text := str(part).strip())]
    wrong = next((text for text, each in found if isinstance(each, Invalid)), None)
    if wrong is not None:
        raise Quoted(f"“{shown(wrong)}” is not an email address such as ann@example.com")
    return tuple(each for _, each in found)


def _web_address(value: str) -> str:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be a web address in ASCII without spaces (write a name in other letters as xn--...)")
    try:
        parts = urlsplit(value)
        makes_sense = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # the port is not a number, or out of range
        makes_sense = False
    if not makes_sense or "@" in parts.netloc or parts.fragment:
        raise ValueError("must be a web address such as https://example.com/hooks/headcount")
    return value


def _templates(value: object) -> object:
    """Read a table by language. Accepts JSON text too: the command line has only text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("must be JSON text") from None
    unknown = [language for language in value if language not in LANGUAGES] if isinstance(value, dict) else []
    if unknown:
        raise ValueError(f"“{unknown[0]}” is not a supported language. Use one of {', '.join(LANGUAGES)}")
    return value


def _moment(value: object) -> object:
    """Return a time as it is stored, from RFC 3339 or a time of TOML."""
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.tzinfo:
            return rfc3339(moment)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a time with its zone, such as 2026-12-31T08:00:00Z or 2026-12-31T08:00:00+01:00")


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be text of one line")
    return value.strip()


EmailAddresses = Annotated[tuple[str, ...], BeforeValidator(_addresses)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Templates = Annotated[dict[str, InvitationTemplate], BeforeValidator(_templates)]
Moment = Annotated[str, BeforeValidator(_moment)]
OneLine = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class TenantSettings(ImportSettings):
    """The settings of one tenant: imports, notifications, storage and access. Frozen."""

    model_config = ConfigDict(json_schema_extra=add_texts)

    paused_until: Moment | None = None
    paused_because: OneLine | None = None
    notify_email: EmailAddresses = ()
    notify_webhook: WebAddress | None = None
    notify_digest: Literal["off", "weekly"] = "off"
    invitation_templates: Templates = Field(default={})
    stale_after_days: Days | None = None
    retention_days: Days = 90
    kept_bytes: Annotated[ByteSize, Field(ge=0, le=INTEGER_MAX)] = ByteSize(20 * 1024**3)
    quota_bytes: Annotated[ByteSize, Field(ge=0, le=INTEGER_MAX)] = ByteSize(10 * 1024**3)
    quota_files: Annotated[int, Field(ge=0, le=INTEGER_MAX)] = 10_000
    max_file_bytes: Annotated[ByteSize, Field(ge=0, le=INTEGER_MAX)] = ByteSize(2 * 1024**3)
    max_waiting_imports: Annotated[int, Field(ge=1, le=INTEGER_MAX)] = 100
    max_sessions: Annotated[int, Field(ge=1)] = 10
    allowed_networks: Networks = ()  # any network
    hooks: HookNames | None = Field(default=None, examples=[["invoices"]])  # all hooks
    hook_settings: HookValues = Field(default={})

    def has_on(self, hook: str) -> bool:
        """Return whether the hook of this name handles files of the tenant."""
        return self.hooks is None or hook in self.hooks

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def changed(
    now: TenantSettings,
    changes: Mapping[str, object],
    *,
    whole: bool = False,
    public_url: str | None = None,
    hooks: KnownHooks | None = None,
    at: datetime | None = None,
) -> TenantSettings:
    """Return `now` with `changes` applied at the time `at`; None resets a setting.

    Raises TenantRefused, which names every setting that is unknown or has a value that is not valid.

    With `whole`, every setting that `changes` does not name is reset to its default. `public_url` is the address of
    the page that the operator has set, and `hooks` are those of the server. Without `at`, the clock says it.
    """
    unknown = _unknown(changes)
    values: dict[str, object] = dict(TenantSettings() if whole else now)
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        elif name not in unknown:
            values[name] = value
    after = _validated(values, unknown)
    wrong = {
        **_new_keys(now, after),
        **_without_link(now, after, public_url),
        **_new_pause(now, after, at or utc_now()),
        **_wrong_hooks(now, after, hooks or {}),
    }
    for name, sentence in wrong.items():
        raise TenantRefused("bad_setting", f"{name}: {sentence}", wrong)
    return after


def _without_link(now: TenantSettings, after: TenantSettings, public_url: str | None) -> dict[str, str]:
    """Refuse new invitations or templates with which an invitation would have no link. Older ones stay.

    The built-in template, for languages without a template, has a link only with `public_url`.
    """
    templates = after.invitation_templates
    linked = public_url is not None or ("en" in templates and all(each.has_link for each in templates.values()))
    if after.invitations == "off" or linked:
        return {}
    names = ("invitations", "invitation_templates")
    return dict([(name, NO_LINK) for name in names if getattr(after, name) != getattr(now, name)][:1])


def _new_keys(now: TenantSettings, after: TenantSettings) -> dict[str, str]:
    """Refuse a new custom field with the name of a built-in field. A custom field that is older than that stays."""
    new = [key for key in after.shadowed if key not in now.own]
    return {"custom_fields": f"a custom field cannot have the key {new[0]}: it is reserved"} if new else {}


def _new_pause(now: TenantSettings, after: TenantSettings, at: datetime) -> dict[str, str]:
    """Refuse a new end of the pause that is past, or too far away. One that was set before stays."""
    if after.paused_until in (None, now.paused_until):
        return {}
    end = from_rfc3339(after.paused_until or "")
    left, shown = end - at, f"{end:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta():
        return {"paused_until": f"{shown} is past. Set a later time, or reset the setting to end the pause"}
    if left > LONGEST_PAUSE:
        return {"paused_until": f"{shown} is more than {LONGEST_PAUSE.days} days ahead. Set an earlier time"}
    return {}


def _wrong_hooks(now: TenantSettings, after: TenantSettings, known: KnownHooks) -> dict[str, str]:
    """Refuse a new name of a hook that does not exist, and new values that a hook refuses. Older ones stay."""
    wrong = {
        "hooks": unknown_hooks(now.hooks, after.hooks, known),
        "hook_settings": wrong_values(now.hook_settings, after.hook_settings, known),
    }
    return {name: sentence for name, sentence in wrong.items() if sentence}


def _unknown(names: Iterable[str]) -> dict[str, str]:
    """Return a sentence about each name that is not a setting."""
    known = TenantSettings.model_fields
    return {name: f"there is no tenant setting {name}{nearest(name, known)}" for name in names if name not in known}


def _validated(values: Mapping[str, object], unknown: Mapping[str, str] | None = None) -> TenantSettings:
    """Return the settings with these values. Raises TenantRefused; `unknown` has what is wrong already."""
    wrong: list[ErrorDetails] = []
    try:
        settings = TenantSettings.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    sentences = dict(unknown or {})
    for details in wrong:
        sentences.setdefault(*_wrong_setting(details))
    if unknown:
        raise TenantRefused("unknown_setting", next(iter(unknown.values())), sentences)
    if wrong:
        name, sentence = _wrong_setting(wrong[0])
        # An error between two settings names them itself.
        raise TenantRefused("bad_setting", f"{name}: {sentence}" if wrong[0]["loc"] else sentence, sentences)
    return settings


def _wrong_setting(details: ErrorDetails) -> tuple[str, str]:
    """Return the name of the wrong setting, and the sentence to show beside it."""
    if not details["loc"]:
        unfit = details["ctx"]["error"]
        return (unfit.setting if isinstance(unfit, Unfit) else ""), reason(details)
    within = place(details)
    return str(details["loc"][0]), f"{within}: {reason(details)}" if within else reason(details)


def from_texts(texts: Texts) -> TenantSettings:
    """Read stored settings. Raises TenantRefused for an invalid value, ValueError for invalid JSON."""
    return _validated({key: json.loads(value) for key, value in texts.items()})


def read_settings(users: Users, timeout_s: float = READ_TIMEOUT_S) -> TenantSettings:
    """Read the settings stored with `users`. Blocks, but does not wait for a running import.

    The last process to close users.db locks it while it tidies up, for seconds after a big import. `timeout_s` limits
    the wait for that. Raises TryAgain when it is over or the disk is full, DatabaseUnusable, and TenantRefused for
    an invalid setting.
    """
    return from_texts(users.read_settings(timeout_s)[0])


def etag(settings: TenantSettings) -> str:
    """Return a short hash of the settings, including the order of tables. It is safe in an HTTP header."""
    return hashlib.sha256(json.dumps(settings.to_json()).encode()).hexdigest()[:16]


async def change_settings(
    users: Users,
    changes: Mapping[str, object],
    *,
    by: str,
    whole: bool = False,
    expected: str | None = None,
    public_url: str | None = None,
    hooks: KnownHooks | None = None,
) -> TenantSettings:
    """Apply all `changes` to the settings stored with `users`, or none. Raises TenantRefused.

    `whole`, `public_url` and `hooks` are those of `changed`. `expected` is the `etag` of the settings that the caller
    has seen: if they differ now, nothing changes (`settings_changed`). Each change is recorded with its author and
    time. If an import setting changed, the next import compares every row again.
    """

    def decide(texts: Texts) -> Settled:
        before = from_texts(texts)
        if expected is not None and etag(before) != expected:
            raise TenantRefused("settings_changed", CHANGED_MEANWHILE)
        after = changed(before, changes, whole=whole, public_url=public_url, hooks=hooks)
        return settled(before, after, by, rfc3339(utc_now()))

    try:
        return from_texts((await users.change_settings(decide)).kept)
    except Refused as error:
        raise TenantRefused(error.code, error.message, {"identifier": error.message}) from None


def settled(before: TenantSettings, after: TenantSettings, by: str, at: str) -> Settled:
    """Return what to store when `by` changes `before` to `after` at the time `at` (RFC 3339)."""
    found = differences(before, after)
    kept = differences(TenantSettings(), after)
    return Settled(
        kept={name: json.dumps(new) for name, (_, new) in kept.items()},
        changes=[SettingChange(at, by, name, json.dumps(old), json.dumps(new)) for name, (old, new) in found.items()],
        identity=identity_of(after) if after.identifier != before.identifier else None,
        means_otherwise=bool(found.keys() & ImportSettings.model_fields.keys()),
    )


def differences(before: TenantSettings, after: TenantSettings) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, each with its old and new JSON value."""
    old, new = before.to_json(), after.to_json()
    # Compare the text, not the values: the order of a mapping counts.
    return {name: (old[name], new[name]) for name in new if json.dumps(old[name]) != json.dumps(new[name])}


async def settings_history(
    users: Users, limit: int, before: int = INTEGER_MAX, *, upgrade: bool = False
) -> tuple[list[dict[str, Any]], int | None]:
    """Return setting changes older than `before`, newest first, and the `before` of the next page.

    Each change has a time, an author, a setting, and its old and new value. On the last page the second value
    is None. `upgrade` migrates users.db first.
    """
    found, more = await users.settings_changes(limit, before, upgrade=upgrade)
    return [{**asdict(each), "old": json.loads(each.old), "new": json.loads(each.new)} for each in found], more
