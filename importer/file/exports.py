"""Headers that HR systems write, by source: a public page of the vendor or of a program that reads its files, or a
public file. Assumed synonyms are in `synonyms`. Pure.
"""

from __future__ import annotations

Found = dict[str, dict[str, tuple[str, ...]]]

NUMBER = "number"
MANAGERS_NUMBER = "manager's number"
"""These two are not fields: they make a custom identifier."""

FOUND: Found = {
    # Workday
    "https://docs.workato.com/connectors/workday-rest/new-worker-trigger.html": {
        "job_title": ("Business title",),
        "email": ("Primary work email",),
        "primary_team": ("Primary supervisory organization",),
        "location": ("Location",),
    },
    "https://github.com/faros-ai/airbyte-connectors/blob/main/sources/workday-source": {
        NUMBER: ("Employee_ID",),
        MANAGERS_NUMBER: ("Manager_ID",),
        "primary_team": ("Team_Name",),
        "hire_date": ("Start_Date",),
        "email": ("Email",),
    },
    "https://support.bucketlistrewards.com/en/knowledge/how-to-integrate-with-workday": {
        "first_name": ("First_Name",),
        "last_name": ("Last_Name",),
        "hire_date": ("Hire_Date",),
    },
    "a public program that reads Workday's file by its whole header line (headers_to_take)": {
        NUMBER: ("Employee ID",),
        "first_name": ("Legal Name - First Name",),
        "last_name": ("Legal Name - Last Name",),
        "email": ("Email - Primary Work",),
        "manager": ("Worker's Manager",),
        "job_title": ("Job Title",),
        "hire_date": ("Hire Date",),
    },
    # BambooHR
    "https://help.okta.com/wf/en-us/content/topics/workflows/connector-reference/bamboohr/actions/listemployees.htm": {  # noqa: E501
        "email": ("Work Email", "Best Email"),
        "job_title": ("Job Title",),
        "primary_team": ("Department", "Division"),
        "manager": ("Supervisor", "Supervisor Email"),
        "hire_date": ("Hire Date",),
        "location": ("Location",),
        NUMBER: ("Employee Number",),
        MANAGERS_NUMBER: ("Supervisor ID", "Supervisor EID"),
    },
    "https://github.com/sourcegraph/handbook/blob/main/content/departments/people-talent/people-ops/tools/bamboohr.md": {  # noqa: E501
        NUMBER: ("Employee #",),
    },
    # ADP
    "public programs that read reports of ADP Workforce Now (Work Contact: Work Email)": {
        NUMBER: ("Associate ID", "File Number"),
        MANAGERS_NUMBER: ("Reports To Associate ID",),
        "first_name": ("First Name", "Preferred or Chosen First Name"),
        "last_name": ("Last Name",),
        "email": ("Work Contact: Work Email",),
        "job_title": ("Job Title Description",),
        "primary_team": ("Home Department Description", "Department Description"),
        "location": ("Location Description",),
        "hire_date": ("Hire Date", "Hire/Rehire Date"),
    },
    # SAP SuccessFactors
    "https://kba.altaflux.com/docs/user-data-file and https://learning.sap.com/courses/"
    "sap-successfactors-performance-and-goals-project-team-orientation/managing-user-data": {
        NUMBER: ("USERID", "EMPID"),
        "first_name": ("FIRSTNAME",),
        "last_name": ("LASTNAME",),
        "email": ("EMAIL",),
        "manager": ("MANAGER",),
        "job_title": ("TITLE",),
        "primary_team": ("DEPARTMENT", "DIVISION"),
        "location": ("LOCATION",),
        "time_zone": ("TIMEZONE",),
        "hire_date": ("HIREDATE",),
        "language": ("DEFAULT_LOCALE",),
    },
    # Personio
    "https://support.personio.de/hc/en-us/articles/115002699585-Overview-of-all-Attributes-in-Personio": {
        "first_name": ("First name",),
        "last_name": ("Last name",),
        "job_title": ("Position",),
        "location": ("Office",),
        "hire_date": ("Hire date",),
        "manager": ("Supervisor",),
        "primary_team": ("Department",),
    },
    "https://support.personio.de/hc/it/articles/211776305-Fase-1-importare-i-dati-dei-dipendenti": {
        "hire_date": ("Data di assunzione",),
    },
    # HiBob, which calls a place of work a site
    "https://help.hibob.com/en/articles/1213152-importing-people-data": {
        "manager": ("Reports to",),
        "email": ("Email address",),
        "location": ("Site",),
    },
    "https://help.lattice.com/hc/en-us/articles/37967569009687-Integrate-HiBob-with-Lattice": {
        "first_name": ("Legal first name",),
        "last_name": ("Legal last name",),
        "job_title": ("Job Title",),
        "manager": ("Manager email",),
        "hire_date": ("Start Date",),
        "primary_team": ("Department",),
    },
    # UKG
    "https://docs.charthop.com/synced-data-from-ultipro": {
        "hire_date": ("lastHireDate",),
        MANAGERS_NUMBER: ("supervisorId",),
    },
    "https://se-stage.securends.com/documentation/best-practices-system-of-record": {
        "first_name": ("Employee First Name",),
        "last_name": ("Employee Last Name",),
        "email": ("Employee Email ID",),
        "manager": ("Manager Email ID",),
    },
    "https://library.ukg.com/a/205564": {
        NUMBER: ("EmployeeNumber",),
        "first_name": ("FirstName",),
        "last_name": ("LastName",),
        "email": ("EmailAddress",),
        "hire_date": ("HireDate",),
    },
    "a public program that reads a report of UltiPro (Employment Status Code)": {
        NUMBER: ("Employee Number",),
        "email": ("Employee Email",),
        "manager": ("Supervisor Email",),
    },
    # Paylocity
    "https://support.hrcloud.com/en/help-center/paylocity-integration": {
        "first_name": ("firstName", "preferredName"),
        "last_name": ("lastName",),
        NUMBER: ("employeeId",),
    },
    # Lists that other systems take in, in the languages of files
    "https://hilfe.e2n.de/mitarbeiterimport": {
        "first_name": ("Vorname",),
        "last_name": ("Nachname",),
        "email": ("E-Mail",),
        "primary_team": ("Arbeitsbereich",),
        "hire_date": ("Eintrittsdatum",),
        NUMBER: ("Personalnummer",),
    },
    "https://springestsupport.freshdesk.com/de/support/solutions/articles/"
    "103000211806-mitarbeiterdaten-importieren-via-csv-datei": {"email": ("E-Mail-Adresse",)},
    "https://github.com/martin3r-me/platforms-hcm/blob/main/CSV_FIELD_ANALYSIS.md": {
        NUMBER: ("PersonalNr",),
        "hire_date": ("BeginnTaetigkeit",),
        "job_title": ("Stellenbezeichnung", "Taetigkeitsbez"),
    },
    "https://github.com/derBerliner1983/EvaGUI/blob/main/README.md": {
        "manager": ("Vorgesetzter",),
        "primary_team": ("Abteilung",),
    },
    "https://help.atimeus.com/support/solutions/articles/201000109332-import-des-collaborateurs": {
        NUMBER: ("Matricule",),
        "first_name": ("Prénom",),
        "last_name": ("Nom",),
        "hire_date": ("Date d'entrée",),
        "location": ("Lieu de rattachement",),
    },
    "https://help.mapal-os.com/fr/?p=11647": {
        "last_name": ("Nom de famille",),
        "hire_date": ("Date de début",),
    },
    "https://help.mapal-os.com/es/mapal-os-es/gestion-de-usuarios/usuarios-3/aaadir-varios-usuarios-a-mapal-os-a-la-vez": {  # noqa: E501
        "first_name": ("Nombre",),
        "last_name": ("Apellido",),
        "job_title": ("Título profesional",),
        "hire_date": ("Fecha de inicio",),
        "primary_team": ("Departamento",),
    },
    "https://www.aturnos.com/manual/Manual/1-importacion-altas-de-trabajadores-basico/": {
        "email": ("Mail",),
        "hire_date": ("Fecha de alta",),
        "location": ("Localización",),
    },
    "https://success.openasset.com/es/articles/3711893-anadir-datos-al-modulo-de-empleados-utilizando-la-importacion-de-csv": {  # noqa: E501
        NUMBER: ("Código de empleado",),
        "job_title": ("Cargo", "Puesto de trabajo"),
        "location": ("Ubicación de la oficina",),
        "hire_date": ("Fecha de contratación",),
    },
    "https://docs.factor-rh.com/caracteristicas_avanzadas/cargas_informacion/cargas_masivas/catalogos_empleados/": {
        "first_name": ("Primer nombre",),
        "last_name": ("Primer apellido",),
    },
    "https://wiki.aetyca.it/doku.php?id=risorse_umane%3Aimport_dipendenti": {
        "first_name": ("Nome",),
        "last_name": ("Cognome",),
        "email": ("Email",),
        "job_title": ("Mansione",),
    },
    "http://www.tiberbit.com/manuale_on_line/foglio1a_dati_di_base_degli_addetti_(giallo)_2_2.htm": {
        NUMBER: ("Matricola",),
        "primary_team": ("Reparto",),
    },
    "https://support.nmbrs.nl/hc/nl/articles/360018695991": {NUMBER: ("Persnr",)},
    "https://help.marqponto.com.br/pt-BR/articles/5729095-importacao-de-colaboradores-por-planilha": {
        "job_title": ("Cargo",),
        "primary_team": ("Equipe",),
        NUMBER: ("Matrícula",),
    },
    "https://help.peopleforce.io/pl/articles/6825317-import-pracownikow-do-peopleforce": {
        "email": ("Służbowy adres e-mail",),
        "hire_date": ("Data zatrudnienia", "hired_on"),
        "job_title": ("Stanowisko",),
        "primary_team": ("Dział", "Pion"),
        "location": ("Lokalizacja",),
        NUMBER: ("Identyfikator pracownika",),
    },
    "https://support.tomhrm.com/kb/zaimportowac-liste-pracownikow/": {
        "first_name": ("Imię",),
        "last_name": ("Nazwisko",),
        "job_title": ("Job position",),
    },
    "https://support.kincone.com/hc/ja/articles/15147650778137": {
        "first_name": ("名",),
        "last_name": ("姓",),
        NUMBER: ("従業員番号",),
        "email": ("メールアドレス",),
        "hire_date": ("入社日",),
    },
    "https://support.keihi.com/ja/import-members": {
        "primary_team": ("所属部署",),
        "job_title": ("役職",),
        NUMBER: ("社員番号",),
    },
    "https://press.betterengagee.com/319/": {
        "first_name": ("ビジネスネーム:名",),
        "last_name": ("ビジネスネーム:姓",),
        "job_title": ("職種",),
    },
    "https://zhanuu.com/rjjc/19265.html": {"primary_team": ("部门",), "job_title": ("职位",)},
    "https://kf.liunengjia.com/?p=430": {"email": ("邮箱",), "job_title": ("岗位",), "primary_team": ("所属部门",)},
    "https://docs.daftra.com/?p=1221": {
        "first_name": ("الاسم الأول",),
        "last_name": ("اللقب",),
        "email": ("البريد الإلكتروني",),
    },
    "https://docs.fatoorah.sa/docs/doc/users/add-employee": {"job_title": ("المسمى الوظيفي",)},
    "https://docs.yanbooh.waredpos.com/ar/users": {"primary_team": ("القسم",), "manager": ("المدير",)},
    "https://jisr.zendesk.com/hc/ar-sa/articles/13793553546001": {NUMBER: ("الرقم الوظيفي",)},
}
"""The headers as written, by source and by the field that they mean."""


def found_for(field: str) -> list[str]:
    """Return every header found for `field`, in the order of FOUND."""
    return list(dict.fromkeys(header for fields in FOUND.values() for header in fields.get(field, ())))
