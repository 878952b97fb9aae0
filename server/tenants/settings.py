"""The settings of one tenant: what may be set, how they are kept, and that they change as a whole or not at all.

They are kept with the tenant's users, those that differ from their defaults.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ground.moments import rfc3339, utc_now
from ground.refusals import Refusal
from importer.errors import Refused
from importer.model import INTEGER_MAX
from importer.rules.cells import LANGUAGES, Invalid
from importer.rules.emails import check_email
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings, Unfit
from importer.users.settled import SettingChange, Settled, Texts
from importer.users.users import Users
from server.networks import Networks
from server.setting_errors import nearest, place, reason
from server.tenants.invitation_template import InvitationTemplate
from server.tenants.setting_texts import described

READ_TIMEOUT_S = 2.0
CHANGED_MEANWHILE = (
    "Somebody else has changed the settings meanwhile, and nothing was changed. Load them again, look at what is "
    "different, and make your change once more."
)


class TenantRefused(Refusal):
    """Something about a tenant that can't be done. `code` is stable, `message` a sentence that says what to do.

    `settings` are all that are wrong with settings, by name, each with a sentence to be shown beside it; `setting` is
    the one that `message` is about.
    """

    def __init__(self, code: str, message: str, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.settings = dict(settings or {})

    @property
    def setting(self) -> str | None:
        return next(iter(self.settings), None)


def _addresses(value: object) -> object:
    """A list of e-mail addresses, or text with commas between them; each as it is kept."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be e-mail addresses with commas between them")
    found = [check_email(str(part).strip()) for part in parts if str(part).strip()]
    wrong = next((each for each in found if isinstance(each, Invalid)), None)
    if wrong:
        raise ValueError(wrong.message)
    return tuple(found)


def _web_address(value: str) -> str:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be a web address in ASCII, without spaces (xn--... for a name in other letters)")
    try:
        parts = urlsplit(value)
        makes_sense = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # of a port that is no port
        makes_sense = False
    if not makes_sense or "@" in parts.netloc or parts.fragment:
        raise ValueError("must be a web address such as https://example.com/hooks/headcount")
    return value


def _templates(value: object) -> object:
    """A table by language; as JSON text too, as it is typed on a command line."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("must be JSON text") from None
    unknown = [language for language in value if language not in LANGUAGES] if isinstance(value, dict) else []
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of the languages {', '.join(LANGUAGES)}")
    return value


EmailAddresses = Annotated[tuple[str, ...], BeforeValidator(_addresses)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Templates = Annotated[dict[str, InvitationTemplate], BeforeValidator(_templates)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class TenantSettings(ImportSettings):
    """What one tenant may choose: about its imports, who hears of them, and the fences around its folder. Frozen."""

    model_config = ConfigDict(json_schema_extra=described)

    notify_email: EmailAddresses = ()
    notify_webhook: WebAddress | None = None
    invitation_templates: Templates = Field(default={})
    stale_after_days: Days | None = None
    retention_days: Days = 90
    kept_bytes: Annotated[ByteSize, Field(ge=0, le=INTEGER_MAX)] = ByteSize(20 * 1024**3)
    quota_bytes: Annotated[ByteSize, Field(ge=0, le=INTEGER_MAX)] = ByteSize(10 * 1024**3)
    quota_files: Annotated[int, Field(ge=0, le=INTEGER_MAX)] = 10_000
    max_file_bytes: Annotated[ByteSize, Field(ge=0, le=INTEGER_MAX)] = ByteSize(2 * 1024**3)
    max_waiting_imports: Annotated[int, Field(ge=1, le=INTEGER_MAX)] = 100
    max_sessions: Annotated[int, Field(ge=1)] = 10
    allowed_networks: Networks = ()  # from anywhere

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def changed(now: TenantSettings, changes: Mapping[str, object], *, whole: bool = False) -> TenantSettings:
    """`now` with `changes` put in; None puts a default back. Raises TenantRefused naming the setting.

    With `whole`, what `changes` does not name goes back to its default.
    """
    _refuse_unknown(changes)
    values: dict[str, object] = dict(TenantSettings() if whole else now)
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    after = _validated(values)
    _refuse_new_keys(now, after)
    return after


def _refuse_new_keys(now: TenantSettings, after: TenantSettings) -> None:
    """A custom field that was there before ours of the same name stays the tenant's own; a new one is refused."""
    new = [key for key in after.shadowed if key not in now.own]
    if new:
        sentence = f"a custom field can't be called {new[0]}: that name has a meaning already"
        raise TenantRefused("bad_setting", sentence, {"custom_fields": sentence})


def _refuse_unknown(names: Iterable[str]) -> None:
    known = TenantSettings.model_fields
    unknown = {
        name: f"there is no tenant setting {name}{nearest(name, known)}" for name in names if name not in known
    }
    if unknown:
        raise TenantRefused("unknown_setting", next(iter(unknown.values())), unknown)


def _validated(values: Mapping[str, object]) -> TenantSettings:
    try:
        return TenantSettings.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    sentences: dict[str, str] = {}
    for details in wrong:
        sentences.setdefault(*_wrong_setting(details))
    name, sentence = _wrong_setting(wrong[0])
    # What is wrong between settings names them itself.
    raise TenantRefused("bad_setting", f"{name}: {sentence}" if wrong[0]["loc"] else sentence, sentences)


def _wrong_setting(details: ErrorDetails) -> tuple[str, str]:
    """Which setting is wrong, and what is to be said beside it."""
    if not details["loc"]:
        unfit = details["ctx"]["error"]
        return (unfit.setting if isinstance(unfit, Unfit) else ""), reason(details)
    within = place(details)
    return str(details["loc"][0]), f"{within}: {reason(details)}" if within else reason(details)


def from_texts(texts: Texts) -> TenantSettings:
    """The settings as they are kept. Raises TenantRefused if one makes no sense, ValueError if it is no JSON."""
    return _validated({key: json.loads(value) for key, value in texts.items()})


def read_settings(users: Users, timeout_s: float = READ_TIMEOUT_S) -> TenantSettings:
    """The settings kept with `users`, read at once and without waiting for an import that runs. Blocks.

    But for a moment when the last one who had them open tidies up, which takes seconds after a big import. Whoever
    can't wait that long says so by `timeout_s`. Raises TryAgain if it takes longer, and when the disk is full,
    DatabaseUnusable, and TenantRefused if a setting makes no sense.
    """
    return from_texts(users.read_settings(timeout_s)[0])


def etag(settings: TenantSettings) -> str:
    """A short name for exactly these settings, the order of what is in tables included. Safe in a header."""
    return hashlib.sha256(json.dumps(settings.to_json()).encode()).hexdigest()[:16]


async def change_settings(
    users: Users,
    changes: Mapping[str, object],
    *,
    by: str,
    whole: bool = False,
    expected: str | None = None,
) -> TenantSettings:
    """Change the settings kept with `users`: all of `changes`, or none and TenantRefused.

    With `whole`, what `changes` does not name goes back to its default. With `expected`, the `etag` of the settings
    that whoever changes them has seen, nothing changes (`settings_changed`) if they are others by now. Who changed
    what and when is kept; when a setting that the importer obeys is different afterwards, every row of the next file
    is looked at again.
    """

    def decide(texts: Texts) -> Settled:
        before = from_texts(texts)
        if expected is not None and etag(before) != expected:
            raise TenantRefused("settings_changed", CHANGED_MEANWHILE)
        return settled(before, changed(before, changes, whole=whole), by, rfc3339(utc_now()))

    try:
        return from_texts((await users.change_settings(decide)).kept)
    except Refused as error:
        raise TenantRefused(error.code, error.message, {"identifier": error.message}) from None


def settled(before: TenantSettings, after: TenantSettings, by: str, at: str) -> Settled:
    """What is kept where `by` changes `before` to `after` at `at` (RFC 3339)."""
    found = differences(before, after)
    kept = differences(TenantSettings(), after)
    return Settled(
        kept={name: json.dumps(new) for name, (_, new) in kept.items()},
        changes=[SettingChange(at, by, name, json.dumps(old), json.dumps(new)) for name, (old, new) in found.items()],
        identity=identity_of(after) if after.identifier != before.identifier else None,
        means_otherwise=bool(found.keys() & ImportSettings.model_fields.keys()),
    )


def differences(before: TenantSettings, after: TenantSettings) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, each with its old and new value as JSON shows them."""
    old, new = before.to_json(), after.to_json()
    # Not whether they are equal: the order of a mapping counts too.
    return {name: (old[name], new[name]) for name in new if json.dumps(old[name]) != json.dumps(new[name])}


async def settings_history(
    users: Users, limit: int, before: int = INTEGER_MAX, *, upgrade: bool = False
) -> tuple[list[dict[str, Any]], int | None]:
    """The newest changes of settings that are older than `before`, newest first, and the `before` of the next page.

    Each with when, by whom, which, and its old and new value; the `before` is None if there are no more. With
    `upgrade` the users are brought up to date first.
    """
    found, more = await users.settings_changes(limit, before, upgrade=upgrade)
    return [{**asdict(each), "old": json.loads(each.old), "new": json.loads(each.new)} for each in found], more
