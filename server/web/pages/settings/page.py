"""`/settings`: a form for every setting of a tenant, a try of them on the last file, and who changed what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from importer.advice.kept import kept_advice
from importer.errors import Refused, TryAgain
from importer.model import INTEGER_MAX
from server.tenants.setting_texts import SETTING_TEXTS
from server.tenants.settings import TenantRefused, TenantSettings, changed, etag
from server.web.access import Looking, Owning
from server.web.not_done import as_not_done
from server.web.office import Visit
from server.web.pages.rendering import FORM_BYTES_MOST, render
from server.web.pages.settings.form import (
    Wanted,
    as_sent,
    put_together,
    shown,
    touched,
    wanted,
    with_row,
    without_row,
)
from server.web.pages.settings.items import groups_of
from server.web.pages.settings.meanwhile import LOOKED_BACK, Meanwhile, look_back
from server.web.pages.settings.words import in_words

router = APIRouter(prefix="/tenants/{tenant}/settings", max_body_size=FORM_BYTES_MOST)


Number = Annotated[int, Query(ge=0, le=INTEGER_MAX)]

CONTROLS_MOST = 10_000
HISTORY = 100


@dataclass(slots=True)
class Sheet:
    """A form that came back: what was `typed`, the settings of `now`, and what happened `meanwhile`.

    `expected` names the settings that whoever typed has seen; `meanwhile` is None if those are not known any more.
    What is said besides: what is wrong, by setting and in a `sentence`; that both changes are `merged`; which import
    has `tried` what is in the form, and which of it was `proposed` when that failed. `focus` is the table in which
    somebody is at work.
    """

    typed: dict[str, str]
    now: TenantSettings
    expected: str
    meanwhile: Meanwhile | None
    errors: dict[str, str] = field(default_factory=dict)
    sentence: str = ""
    focus: str = ""
    merged: bool = False
    tried: int | None = None
    proposed: Iterable[str] = ()

    @property
    def outdated(self) -> bool:
        return self.expected != etag(self.now)

    @property
    def seen(self) -> TenantSettings:
        return self.meanwhile.seen if self.meanwhile else self.now

    def wanted(self) -> Wanted:
        return wanted(self.typed, self.seen.to_json())


@router.get("")
async def show_settings(request: Request, visit: Looking, tried: Number = 0) -> Response:
    """The form; put in is what the import `tried` has tried, if it tried settings, and was proposed if it failed."""
    now = await visit.settings()
    changes = await _tried(visit, tried) if tried else {}
    proposed = await _proposed(visit, tried) if tried else {}
    typed = shown({**now.to_json(), **changes, **proposed})
    any_tried = tried if changes or proposed else None
    sheet = Sheet(typed, now, etag(now), Meanwhile(now, ()), tried=any_tried, proposed=proposed)
    return _page(request, visit, sheet)


@router.post("")
async def save_settings(request: Request, visit: Owning) -> Response:
    """All that was changed in the form, or nothing and the form again, with what was typed and why."""
    sheet = await _sheet(request, visit)
    if sheet.outdated:
        return _merged(request, visit, sheet)
    try:
        changes = _readable(sheet)
        await visit.office.tenants.change_settings(
            visit.tenant, changes, by=visit.token.bearer, expected=sheet.expected
        )
    except TenantRefused as error:
        if error.code != "settings_changed":
            return _refused(request, visit, sheet, error)
        return _merged(request, visit, await _looked_at_again(visit, sheet))
    except TryAgain as error:
        return _not_now(request, visit, sheet, error)
    return RedirectResponse(f"{request.url.path}?done={'settings-saved' if changes else 'settings-same'}", 303)


@router.post("/try")
async def try_settings(request: Request, visit: Owning) -> Response:
    """A dry run of the last file with what is in the form; nothing is saved."""
    sheet = await _sheet(request, visit)
    if sheet.outdated:
        return _merged(request, visit, sheet)
    try:
        number = await visit.office.trials.of_settings(visit.tenant, _readable(sheet), visit.token.bearer)
    except TenantRefused as error:
        return _refused(request, visit, sheet, error)
    except (Refused, TryAgain) as error:
        return _not_now(request, visit, sheet, error)
    return RedirectResponse(f"/tenants/{visit.tenant}/imports/{number}", 303)


@router.post("/rows")
async def change_rows(request: Request, visit: Owning) -> Response:
    """The form with a row more (`add`) or less (`remove`) in one of its tables; nothing is saved."""
    sheet = await _sheet(request, visit)
    action, _, rest = sheet.typed.pop("rows", "").partition(":")
    setting, _, number = rest.partition(":")
    if action == "add" and setting in _TABLES:
        sheet.typed = with_row(sheet.typed, setting)
        sheet.focus = f"{setting}:last"
    elif action == "remove" and setting in _TABLES and number.isdecimal():
        sheet.typed = without_row(sheet.typed, setting, int(number))
        sheet.focus = f"{setting}:add"
    return _page(request, visit, sheet)


@router.get("/history")
async def show_history(request: Request, visit: Looking, before: Number = INTEGER_MAX) -> Response:
    found, older = await visit.office.tenants.settings_history(visit.tenant, HISTORY, before)
    changes = _labelled(found)
    events = [list(event) for _, event in groupby(changes, lambda each: (each["changed_at"], each["changed_by"]))]
    return render(
        request,
        "settings-history.html",
        visit,
        events=events,
        said=in_words,
        older=older,
        newest=before == INTEGER_MAX,
    )


_TABLES = {"custom_fields", "value_mapping", "invitation_templates"}


async def _sheet(request: Request, visit: Visit) -> Sheet:
    """What was sent. Raises NotDone if it is no form."""
    async with request.form(max_fields=CONTROLS_MOST, max_files=0) as form:
        typed = as_sent((name, text) for name, text in form.multi_items() if isinstance(text, str))
    expected = typed.pop("etag", "")
    now = await visit.settings()
    return Sheet(typed, now, expected, look_back(now, await _recent(visit), expected))


def _readable(sheet: Sheet) -> dict[str, Any]:
    """What is to be changed. Raises TenantRefused if some of it can't be read, with all else that is wrong."""
    found = sheet.wanted()
    if found.unreadable:
        errors = {**_unfit(sheet.now, found.changes), **found.unreadable}
        raise TenantRefused("bad_setting", next(iter(errors.values())), errors)
    return found.changes


def _unfit(now: TenantSettings, changes: Mapping[str, object]) -> dict[str, str]:
    try:
        changed(now, changes)
    except TenantRefused as error:
        return error.settings
    return {}


def _refused(request: Request, visit: Visit, sheet: Sheet, error: TenantRefused) -> Response:
    """The form again, with what is wrong beside each field."""
    known = {name: sentence for name, sentence in error.settings.items() if name in SETTING_TEXTS}
    if not known:
        sheet.sentence = as_not_done(error).detail
    sheet.errors = known
    return _page(request, visit, sheet, status=422)


def _not_now(request: Request, visit: Visit, sheet: Sheet, error: Refused | TryAgain) -> Response:
    not_done = as_not_done(error)
    sheet.sentence = not_done.detail
    return _page(request, visit, sheet, status=not_done.status)


def _merged(request: Request, visit: Visit, sheet: Sheet) -> Response:
    """The settings of now with what was typed put in; what somebody else has changed is told, and nothing saved."""
    mine = touched(sheet.typed, sheet.seen.to_json())
    sheet.typed = put_together(sheet.typed, mine, sheet.now.to_json())
    sheet.expected = etag(sheet.now)
    sheet.merged = True
    return _page(request, visit, sheet, status=409)


async def _looked_at_again(visit: Visit, sheet: Sheet) -> Sheet:
    now = await visit.settings()
    return replace(sheet, now=now, meanwhile=look_back(now, await _recent(visit), sheet.expected))


def _page(request: Request, visit: Visit, sheet: Sheet, *, status: int = 200) -> Response:
    meanwhile = sheet.meanwhile if sheet.merged and sheet.meanwhile else Meanwhile(sheet.now, ())
    groups = groups_of(sheet.typed, TenantSettings().to_json(), sheet.errors, meanwhile.settings)
    return render(
        request,
        "settings.html",
        visit,
        status=status,
        groups=groups,
        errors={
            text.label: (name, sheet.errors[name]) for name, text in SETTING_TEXTS.items() if name in sheet.errors
        },
        sentence=sheet.sentence,
        merged=sheet.merged,
        tried=sheet.tried,
        proposed=[name for name in SETTING_TEXTS if name in sheet.proposed],
        SETTING_TEXTS=SETTING_TEXTS,
        meanwhile=_labelled(meanwhile.changes),
        focus=sheet.focus,
        etag=sheet.expected,
        values=sheet.now.to_json(),
        said=in_words,
    )


async def _tried(visit: Visit, number: int) -> Mapping[str, Any]:
    """The settings that the dry run of this number has tried."""
    entry = await visit.office.reader.get(visit.tenant, number)
    changes = entry.trial.changes if entry and entry.trial else {}
    return {name: value for name, value in changes.items() if name in SETTING_TEXTS}


async def _proposed(visit: Visit, number: int) -> Mapping[str, Any]:
    """The settings that are advised for the file of this import."""
    advice = await asyncio.to_thread(kept_advice, visit.folder, number)
    return advice.settings if advice else {}


async def _recent(visit: Visit) -> list[dict[str, Any]]:
    return (await visit.office.tenants.settings_history(visit.tenant, LOOKED_BACK))[0]


def _labelled(changes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Changes of settings, each with what people call the setting; one that is none any more has its name."""
    labels = {name: text.label for name, text in SETTING_TEXTS.items()}
    return [{**change, "label": labels.get(change["key"], change["key"])} for change in changes]
