"""`/settings`: the form of a tenant's settings, their test on the newest file, and their history."""

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
from server.tenants.settings import TenantRefused, TenantSettings, etag
from server.tenants.tenants import Tenants
from server.web.access import Looking, Owning
from server.web.http_problem import as_http_problem
from server.web.office import Visit
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render
from server.web.pages.settings.form import (
    Wanted,
    as_sent,
    as_table,
    put_together,
    shown,
    touched,
    wanted,
    with_row,
    without_row,
)
from server.web.pages.settings.hooks import Faces, faces_of
from server.web.pages.settings.items import groups_of
from server.web.pages.settings.meanings import as_lines
from server.web.pages.settings.meanwhile import LOOKED_BACK, Meanwhile, look_back
from server.web.pages.settings.newest import newest_sample
from server.web.pages.settings.words import in_words

router = APIRouter(prefix="/tenants/{tenant}/settings", max_body_size=FORM_BYTES_MOST)


Number = Annotated[int, Query(ge=0, le=INTEGER_MAX)]

CONTROLS_MOST = 10_000
HISTORY = 100


@dataclass(slots=True)
class Sheet:
    """The state of the form: what was `typed`, the settings of `now`, and the changes made `meanwhile`.

    `expected` is the etag of the settings that the form was shown with; `meanwhile` is None if they are no longer
    known. `errors` are by setting; `sentence` is an error about the whole form. `merged`: the form shows both owners'
    changes. `tried` is the import that tested the content of the form, or whose advice `proposed` these settings.
    `focus` names the table whose row was added or removed.
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

    def wanted(self, faces: Faces) -> Wanted:
        return wanted(self.typed, self.seen.to_json(), faces)


@router.get("")
async def show_settings(request: Request, visit: Looking, tried: Number = 0) -> Response:
    """Show the form, filled with the settings that the import `tried` tested, or that were suggested for its file."""
    now = await visit.settings()
    changes = await _tried(visit, tried) if tried else {}
    proposed = await _proposed(visit, tried) if tried else {}
    typed = shown({**now.to_json(), **changes, **proposed}, _faces(visit))
    any_tried = tried if changes or proposed else None
    sheet = Sheet(typed, now, etag(now), Meanwhile(now, ()), tried=any_tried, proposed=proposed)
    return await _page(request, visit, sheet)


@router.post("")
async def save_settings(request: Request, visit: Owning) -> Response:
    """Save all changes of the form. If one is refused, save nothing and show the form again with the errors."""
    sheet = await _sheet(request, visit)
    if sheet.outdated:
        return await _merged(request, visit, sheet)
    try:
        changes = _readable(visit, sheet)
        await visit.office.tenants.change_settings(
            visit.tenant, changes, by=visit.token.bearer, expected=sheet.expected
        )
    except TenantRefused as error:
        if error.code != "settings_changed":
            return await _refused(request, visit, sheet, error)
        return await _merged(request, visit, await _reloaded(visit, sheet))
    except TryAgain as error:
        return await _not_now(request, visit, sheet, error)
    return redirect(request, request.url.path, "settings-saved" if changes else "settings-same")


@router.post("/try")
async def try_settings(request: Request, visit: Owning) -> Response:
    """Start a dry run of the newest file with the settings in the form; save nothing."""
    sheet = await _sheet(request, visit)
    if sheet.outdated:
        return await _merged(request, visit, sheet)
    try:
        changes = _readable(visit, sheet)
        number = await visit.office.trials.of_settings(visit.tenant, changes, visit.token.bearer)
    except TenantRefused as error:
        return await _refused(request, visit, sheet, error)
    except (Refused, TryAgain) as error:
        return await _not_now(request, visit, sheet, error)
    return RedirectResponse(f"/tenants/{visit.tenant}/imports/{number}", 303)


@router.post("/rows")
async def change_rows(request: Request, visit: Owning) -> Response:
    """Show the form with a row added to (`add`) or removed from (`remove`) a table; save nothing."""
    sheet = await _sheet(request, visit)
    action, _, rest = sheet.typed.pop("rows", "").partition(":")
    setting, _, number = rest.partition(":")
    if action == "add" and setting in _TABLES:
        sheet.typed = with_row(sheet.typed, setting)
        sheet.focus = f"{setting}:last"
    elif action == "remove" and setting in _TABLES and number.isdecimal():
        sheet.typed = without_row(sheet.typed, setting, int(number))
        sheet.focus = f"{setting}:add"
    return await _page(request, visit, sheet)


@router.get("/history")
async def show_history(request: Request, visit: Looking, before: Number = INTEGER_MAX) -> Response:
    found, older = await visit.office.tenants.settings_history(visit.tenant, HISTORY, before)
    changes = _labeled(found)
    events = [list(event) for _, event in groupby(changes, lambda each: (each["changed_at"], each["changed_by"]))]
    return render(
        request,
        "settings-history.html",
        visit,
        events=events,
        in_words=in_words,
        older=older,
        newest=before == INTEGER_MAX,
    )


_TABLES = {"field_mapping", "custom_fields", "value_mapping", "invitation_templates"}


async def _sheet(request: Request, visit: Visit) -> Sheet:
    """Read the form that was sent. Raises HttpProblem if the body is not a form."""
    async with request.form(max_fields=CONTROLS_MOST, max_files=0) as form:
        typed = as_lines(as_sent((name, text) for name, text in form.multi_items() if isinstance(text, str)))
    expected = typed.pop("etag", "")
    now = await visit.settings()
    return Sheet(typed, now, expected, look_back(now, await _recent(visit), expected))


def _faces(visit: Visit) -> Faces:
    return faces_of(visit.office.tenants.hooks())


def _readable(visit: Visit, sheet: Sheet) -> dict[str, Any]:
    """Return the settings to change. Raises TenantRefused, with all errors, if a control cannot be read."""
    found = sheet.wanted(_faces(visit))
    if found.unreadable:
        errors = {**_unfit(visit.office.tenants, sheet.now, found.changes), **found.unreadable}
        raise TenantRefused("bad_setting", next(iter(errors.values())), errors)
    return found.changes


def _unfit(tenants: Tenants, now: TenantSettings, changes: Mapping[str, object]) -> dict[str, str]:
    try:
        tenants.changed(now, changes)
    except TenantRefused as error:
        return error.settings
    return {}


async def _refused(request: Request, visit: Visit, sheet: Sheet, error: TenantRefused) -> Response:
    """Show the form again, with an error beside each wrong field."""
    known = {name: sentence for name, sentence in error.settings.items() if name in SETTING_TEXTS}
    if not known:
        sheet.sentence = as_http_problem(error).detail
    sheet.errors = known
    return await _page(request, visit, sheet, status=422)


async def _not_now(request: Request, visit: Visit, sheet: Sheet, error: Refused | TryAgain) -> Response:
    http_problem = as_http_problem(error)
    sheet.sentence = http_problem.detail
    return await _page(request, visit, sheet, status=http_problem.status)


async def _merged(request: Request, visit: Visit, sheet: Sheet) -> Response:
    """Show the current settings merged with what was typed, and list the other owner's changes; save nothing."""
    faces = _faces(visit)
    sheet.typed = put_together(sheet.typed, sheet.seen.to_json(), sheet.now.to_json(), faces)
    sheet.expected = etag(sheet.now)
    sheet.merged = True
    return await _page(request, visit, sheet, status=409)


async def _reloaded(visit: Visit, sheet: Sheet) -> Sheet:
    now = await visit.settings()
    return replace(sheet, now=now, meanwhile=look_back(now, await _recent(visit), sheet.expected))


async def _page(request: Request, visit: Visit, sheet: Sheet, *, status: int = 200) -> Response:
    meanwhile = sheet.meanwhile if sheet.merged and sheet.meanwhile else Meanwhile(sheet.now, ())
    others = {name: sheet.typed.get(f"{name}.other", "").strip() for name in ("encoding", "date_format")}
    sample = await newest_sample(visit, sheet.now, others) if visit.may_change else None
    header = sample.header if sample else ()
    faces = _faces(visit)
    unsaved = touched(sheet.typed, sheet.now.to_json(), faces)
    groups = groups_of(
        as_table(sheet.typed, "field_mapping", header, sheet.now.names),
        TenantSettings().to_json(),
        sheet.errors,
        meanwhile.settings,
        unsaved=unsaved,
        sample=sample,
        mapped=sheet.now.field_mapping,
        faces=faces,
    )
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
        meanwhile=_labeled(meanwhile.changes),
        focus=sheet.focus,
        unsaved=unsaved,
        sample=sample,
        etag=sheet.expected,
        values=sheet.now.to_json(),
        in_words=in_words,
    )


async def _tried(visit: Visit, number: int) -> Mapping[str, Any]:
    """Return the settings that the dry run of this number tested."""
    entry = await visit.office.reader.get(visit.tenant, number)
    changes = entry.trial.changes if entry and entry.trial else {}
    return {name: value for name, value in changes.items() if name in SETTING_TEXTS}


async def _proposed(visit: Visit, number: int) -> Mapping[str, Any]:
    """Return the settings that are suggested for the file of this import."""
    await visit.file(visit.folder.advice(number))
    advice = await asyncio.to_thread(kept_advice, visit.folder, number)
    return advice.settings if advice else {}


async def _recent(visit: Visit) -> list[dict[str, Any]]:
    return (await visit.office.tenants.settings_history(visit.tenant, LOOKED_BACK))[0]


def _labeled(changes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return changes of settings with the setting's label; a setting of an older version keeps its name."""
    labels = {name: text.label for name, text in SETTING_TEXTS.items()}
    return [{**change, "label": labels.get(change["key"], change["key"])} for change in changes]
