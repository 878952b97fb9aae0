"""Headers of columns that show which users have left are recognized in many languages; similar ones are not."""

from __future__ import annotations

import pytest

from importer.file.columns import read_header
from importer.file.header import Names
from importer.file.leavers import Tells, tells_beside

LAST_DAY = (
    "End Date|end_date|endDate|END DATE|Termination Date|TERMINATION_DATE|Term Date|"
    "Termination|Date of Termination|"
    "Leaving Date|Date of Leaving|Date Left|Left on|Leave Date|Exit Date|Separation Date|"
    "Deactivation Date|Inactive Date|"
    "Deactivated On|Last Day|Last Working Day|Last Day of Work|Contract End|"
    "Contract End Date|Employment End Date|"
    "employment.end_date|Austritt|Austrittsdatum|Datum des Austritts|Ausgeschieden am|"
    "Vertragsende|Letzter Arbeitstag|"
    "Enddatum|Date de sortie|Date de d\u00e9part|Date de fin de contrat|Dernier jour|"
    "Fecha de baja|Fecha baja|Fecha de "
    "salida|Fecha fin contrato|Data cessazione|Data di cessazione|Data fine rapporto|"
    "Uit dienst|Datum uit dienst|"
    "Uitdienstdatum|Einddatum|Einde dienstverband|Laatste werkdag|Data de sa\u00edda|Data de desligamento|"
    "Data de demiss\u00e3o|Data zwolnienia|Data zako\u0144czenia zatrudnienia|Data rozwi\u0105zania umowy|"
    "D\u00e9part|Contract End|退職日|离职日期|離職日期|تاريخ انتهاء الخدمة"
)
LEFT = (
    "Leaver|Is Leaver|is_leaver|Terminated|Termd|Inactive|isInactive|Account Disabled|"
    "Deactivated|Former Employee|Left|"
    "Ausgetreten|Ausgeschieden|Inaktiv|Inactif|Cessato|Inactivo|Inactief|Inativo|Nieaktywny"
)
ACTIVE = (
    "Active|ACTIVE|Activated|Is Active|is_active|isActive|ISACTIVE|Activate|Enabled|"
    "Account Enabled|Active Status|Active?|"
    "Currently Active|Employed|Current Employee|Aktiv|Actif|Activo|Attivo|Actief|Ativo|Aktywny|In dienst"
)
STATUS = (
    "Status|status|Employment Status|employment_status|EmployeeStatus|employeestatus|HR Status|Worker Status|"
    "Status (Active/Inactive)|Besch\u00e4ftigungsstatus|Mitarbeiterstatus|Statut|Estado|Estado laboral|Stato|"
    "Situa\u00e7\u00e3o|Status zatrudnienia|在籍状況|员工状态|Status 状态|الحالة|"
    "Position Status|Assignment Status|"
    "在職状態|在职状态|حالة الموظف"
)
OTHERS = (
    "Start Date|Hire Date|Date of Birth|Leave Type|Leave Start Date|Leave End Date|"
    "Probation End Date|Probezeitende|"
    "Marital Status|Visa Status|Visa End Date|Befristet bis|Date|Data|Day|Fin|End|Leave|"
    "Employee|Contract Type|In|"
    "Title|Activity|Active Directory ID|Email Status|Weekend|Gender|Country|Eintritt|"
    "Datum in dienst|Data zatrudnienia|"
    "Last Name|Last Login|Department|Exam Date|Personal Email|leave_type|_|''|"
    "Birthday|Depart|Departs|End User|Contract Term|Employment Term|Baja laboral|Zwolnienie|Vacation End|Project End|"
    "Active projects|Fin de la p\u00e9riode d'essai|生年月日|入社日|姓名|"
    "部門|الحالة الاجتماعية"
)
MEANT = [
    (name, found)
    for names, found in (
        (LAST_DAY, Tells.LAST_DAY),
        (LEFT, Tells.LEFT),
        (ACTIVE, Tells.ACTIVE),
        (STATUS, Tells.STATUS),
    )
    for name in names.split("|")
]


@pytest.mark.parametrize(("name", "found"), MEANT)
def test_a_header_of_leavers_is_recognized(name: str, found: Tells) -> None:
    assert tells_beside([name]) == [found]


@pytest.mark.parametrize("name", OTHERS.split("|"))
def test_a_header_that_only_looks_like_one_of_leavers_is_not(name: str) -> None:
    assert tells_beside([name]) == [None]


def test_a_column_left_beside_a_column_right_is_not_of_leavers() -> None:
    assert tells_beside(["email", "Left", "RIGHT"]) == [None, None, None]
    assert tells_beside(["email", "Left", "End Date"]) == [None, Tells.LEFT, Tells.LAST_DAY]
    _, problems = read_header(["first_name", "last_name", "email", "left", "right"], 1, known=Names())
    assert not [said.message for said in problems if "left" in said.message.replace("“left”", "")]


@pytest.mark.parametrize(("name", "found"), MEANT)
def test_the_message_about_a_column_of_leavers_names_its_kind(name: str, found: Tells) -> None:
    _, problems = read_header(["first_name", "last_name", "email", name], 1, known=Names())
    (said,) = problems
    assert said.code in ("unknown_column", "header_spelling")
    assert "Did you mean" not in said.message
    says = {
        Tells.LAST_DAY: "last day",
        Tells.LEFT: "users who have left",
        Tells.ACTIVE: "opposite",
        Tells.STATUS: "status",
    }
    assert says[found] in said.message
