"""What other systems call our columns. For proposals only: a column is never renamed by guessing.  Pure."""

from __future__ import annotations

import re
import unicodedata

from importer.file.header import fold

_WORDS = {
    "first_name": (
        "firstname givenname forename fname namefirst preferredfirstname legalfirstname vorname rufname prenom nombre"
        " nombres nome voornaam roepnaam imie fornamn"
    ),
    "last_name": (
        "lastname surname familyname lname namelast legallastname nachname familienname nomdefamille nom apellido"
        " apellidos cognome sobrenome achternaam nazwisko efternamn"
    ),
    "email": (
        "workemail emailwork workemailaddress businessemail companyemail emailaddress email mail emailaddr workmail"
        " primaryemail emailprimary primaryworkemail userprincipalname upn emailadresse mailadresse dienstlicheemail"
        " courriel adressemail adresseemail correo correoelectronico indirizzoemail emailadres adresemail epost"
    ),
    "job_title": (
        "jobtitle businesstitle positiontitle position title jobname jobprofile stellenbezeichnung stelle funktion"
        " position poste intituleposte puesto cargo qualifica functie stanowisko befattning"
    ),
    "manager": (
        "manageremail manageremailaddress manageremailwork managerworkemail managermail linemanageremail"
        " supervisoremail reportstoemail reportsto manager linemanager supervisor vorgesetzter vorgesetzteemail"
        " responsable superieur jefe leidinggevende przelozony chef"
    ),
    "coach": "coachemail coach mentoremail mentor buddy",
    "primary_team": (
        "department departmentname dept team teamname primaryteam orgunit orgunitname organizationalunit"
        " supervisoryorganization division businessunit abteilung bereich service departement departamento reparto"
        " afdeling dzial avdelning"
    ),
    "secondary_team": "secondaryteams teams otherteams groups gruppen groupes grupos",
    "role": "userrole accessrole accesslevel",
    "language": "preferredlanguage languagecode locale lang sprache langue idioma lingua taal jezyk sprak",
    "location": (
        "worklocation locationname office officelocation site workplace city standort arbeitsort niederlassung lieu"
        " lieudetravail ubicacion sede vestiging lokalizacja kontor"
    ),
    "time_zone": "timezone tz zeitzone fuseauhoraire zonahoraria fusoorario tijdzone strefaczasowa",
    "hire_date": (
        "hiredate dateofhire originalhiredate lasthiredate startdate employmentstartdate joindate joiningdate"
        " datejoined dateofjoining eintrittsdatum eintritt einstellungsdatum dateembauche datedembauche dateentree"
        " fechaingreso fechadeingreso fechacontratacion dataassunzione datumindienst indienstdatum datazatrudnienia"
    ),
}

_NUMBERS = (
    "employeeid empid employeenumber employeeno empno employeecode workerid personnelnumber personnelno staffid"
    " staffnumber badgenumber personalnummer personalnr mitarbeiternummer matricule numeroempleado matricola"
    " personeelsnummer"
)

SYNONYMS = {name: tuple(words.split()) for name, words in _WORDS.items()}
"""Words for each field, as `plain` gives them; the likelier first."""

NUMBERS = tuple(_NUMBERS.split())
"""Words for a number that tells people apart."""

MANAGERS_NUMBERS = tuple(
    f"{whose}{word}" for word in ("id", "number", *NUMBERS) for whose in ("manager", "supervisor")
)
"""Words for that number of somebody's manager."""

_NOT_LETTERS = re.compile(r"[^a-z0-9]+")


def plain(name: str) -> str:
    """A header as it is looked up: letters without marks and digits, in lower case."""
    apart = unicodedata.normalize("NFKD", fold(name))
    return _NOT_LETTERS.sub("", apart.replace("\u0142", "l").replace("\u00df", "ss"))
