"""Synonyms of the fields in other systems, for hints and proposals: a guess never maps a column. Pure.

The words here are assumed, the likelier first. Headers that real exports have, with their sources, are in `exports`.
A header for a code, a private value or another person is not a synonym, even if it looks like one.
"""

from __future__ import annotations

import re
import unicodedata

from importer.file.exports import MANAGERS_NUMBER, NUMBER, found_for

_WORDS = {
    "first_name": (
        " firstname givenname forename fname namefirst preferredfirstname legalfirstname"
        " vorname rufname prenom nombre"
        " nombres nome voornaam roepnaam imie fornamn"
    ),
    "last_name": (
        "lastname surname familyname lname namelast legallastname nachname familienname nomdefamille nom apellido"
        " apellidos cognome sobrenome achternaam nazwisko efternamn"
    ),
    "email": (
        "workemail emailwork workemailaddress businessemail companyemail emailaddress email mail emailaddr workmail"
        " primaryemail emailprimary primaryworkemail userprincipalname upn"
        " emailadresse mailadresse dienstlicheemail"
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

_MORE = {
    "first_name": (
        "legalfirstname legalnamefirstname preferrednamefirstname firstnamelegal givennames prenomusuel"
        " prenomdusage nombredepila primernombre primeironome eerstenaam imiona 名 名前名 名字 الاسمالشخصي"
    ),
    "last_name": (
        "legallastname legalnamelastname preferrednamelastname preferredlastname lastnamelegal nomdusage"
        " nomusuel primerapellido ultimonome nomedefamilia geslachtsnaam 苗字 姓氏 اسمالعائلة العائلة"
    ),
    "email": (
        "emailprimarywork workcontactworkemail primaryworkemailaddress businessemailaddress corporateemail"
        " companyemailaddress professionalemail employeeemail useremail workemailid officialemail"
        " emaildienstlich geschaftlicheemail emailgeschaftlich firmenemail arbeitsemail dienstlicheemailadresse"
        " emailprofessionnel mailprofessionnel adresseemailprofessionnelle emailpro courrielprofessionnel"
        " correocorporativo correoempresarial correolaboral correodetrabajo correoelectronicocorporativo"
        " emailcorporativo emailempresa emailaziendale postaaziendale emaillavoro indirizzoemailaziendale"
        " emailprofissional emailcorporativo emaildaempresa emailzakelijk zakelijkemail zakelijkeemail werkemail"
        " zakelijkemailadres emailsluzbowy sluzbowyemail adresemailsluzbowy"
        " 会社メールアドレス 勤務先メールアドレス 電子メール メール 电子邮件 电子邮箱"
        " 工作邮箱 公司邮箱 邮箱地址 電子郵件"
        " البريدالالكتروني بريدالعمل البريدالالكترونيللعمل الايميل"
    ),
    "job_title": (
        "jobtitledescription businesstitle positiontitle jobposition jobprofilename jobrole"
        " roletitle berufsbezeichnung positionsbezeichnung planstelle jobtitel funktionsbezeichnung"
        " intituledeposte intituleduposte fonction emploi titredeposte titreduposte denominaciondelpuesto"
        " nombredelpuesto puestodetrabajo ocupacion tituloprofesional ruolo mansione posizione inquadramento"
        " titolodellaposizione titulodocargo nomedocargo funcao functietitel functienaam functieomschrijving"
        " nazwastanowiska stanowiskopracy 職位 肩書 役職名 职务 职位名称 岗位名称 الوظيفة المسمىالوظيفي مسمىالوظيفة"
    ),
    "manager": (
        "workersmanageremail managerprimaryworkemail managerworkcontactworkemail manageremailprimarywork"
        " supervisorprimaryemail supervisorworkemail supervisoremailaddress managersemail managersemailaddress"
        " reportstoworkemail reportsemail reportingmanageremail reportingmanager reportingto directmanageremail"
        " directmanager peoplemanager linemanagerworkemail emailofmanager emailmanager emaildermanager"
        " vorgesetzteremail emailvorgesetzter emaildesvorgesetzten emailadressevorgesetzter vorgesetztere"
        " vorgesetzterin fuhrungskraft fuhrungskraftemail emailfuhrungskraft"
        " teamleiter disziplinarischervorgesetzter"
        " emaildumanager emailmanager emailresponsable responsablehierarchique"
        " emaildusuperieur superieurhierarchique"
        " emailn1 managern1 responsabledirecto jefedirecto jefeinmediato correodeljefe correodelresponsable"
        " emaildelresponsable supervisordirecto emailresponsabile responsabile responsabilediretto superiorediretto"
        " emaildelresponsabile gestor gestordireto emaildogestor lider liderimediato superiorimediato gerente"
        " emailleidinggevende leidinggevendeemail directleidinggevende manageremailadres emailmanager"
        " bezposredniprzelozony emailprzelozonego przelozonyemail kierownik menedzer"
        " 上司 上司メールアドレス 直属の上司 上長 マネージャー 直属上级 直接上级 上级 上级邮箱 主管 直属主管 经理"
        " المديرالمباشر بريدالمدير المشرف المشرفالمباشر"
    ),
    "coach": (
        "coachesemail mentoremailaddress buddyemail mentorin emailmentor parrain tutor tuteur メンター 导师 المرشد"
    ),
    "primary_team": (
        "homedepartmentdescription departmentdescription divisionname businessunitname"
        " orgunitdescription organisationunit organizationunit"
        " organisationalunit supervisoryorg primarysupervisoryorganization organization organisation orgeinheit"
        " organisationseinheit teambezeichnung abteilungsname fachbereich ressort departement direction pole equipe"
        " unite unidad unidadorganizativa equipo area gerencia ufficio unitaorganizzativa divisione squadra"
        " setor equipe unidadeorganizacional area diretoria afdelingsnaam organisatieeenheid"
        " zespol jednostkaorganizacyjna komorkaorganizacyjna departament"
        " 部署 部門 所属 チーム 部门名称 团队 組織 组织 部門名称 الادارة القسم الفريق"
    ),
    "secondary_team": (
        "additionalteams furtherteams weitereteams equipessecondaires equipos equipes altriteam zespoly"
    ),
    "role": "systemrole applicationrole platformrole berechtigungsrolle rolle benutzerrolle roleutilisateur rol",
    "language": (
        "defaultlocale userlanguage communicationlanguage preferredlocale korrespondenzsprache"
        " languepreferee idiomapreferido idiomapreferencial linguapreferita voorkeurstaal jezykpreferowany"
        " 言語 语言 語言 اللغة"
    ),
    "location": (
        "locationdescription primarylocation worksite officename sitename workplacelocation businesssite"
        " primaryworklocation locationaddresscity buro burostandort dienstort"
        " einsatzort arbeitsstatte betriebsstatte"
        " standortname site etablissement lieudaffectation lieuderattachement bureau agence"
        " centrodetrabajo lugardetrabajo ubicaciondelaoficina oficina localizacion sededilavoro luogodilavoro"
        " localidade localdetrabalho unidade escritorio filial standplaats werklocatie kantoor locatie"
        " miejscepracy oddzial biuro siedziba 勤務地 拠点 事業所 勤務先 工作地点 办公地点"
        " 工作地點 地点 الموقع مكانالعمل الفرع"
    ),
    "time_zone": "usertimezone worktimezone zeitzonename fusohorario タイムゾーン 时区 時區 المنطقةالزمنية",
    "hire_date": (
        "hiredon dateofjoin datestarted employmentdate firstdayofwork firstday companystartdate"
        " eintrittam eintrittsdatum datumeintritt anstellungsdatum einstellung dienstbeginn"
        " vertragsbeginn beginntatigkeit beschaftigtseit datedentree datedarrivee dateentreeentreprise datedebut"
        " datedebutcontrat datedeprisedeposte fechadealta fechaalta fechadeinicio fechainicio fechadeincorporacion"
        " fechadeentrada datadiassunzione datainizio datainiziorapporto datadeadmissao dataadmissao admissao"
        " datadeinicio datainicio datadeentrada indiensttreding datumindiensttreding startdatum ingangsdatum"
        " begindatumdienstverband dataprzyjecia datarozpoczeciapracy datazatrudnienia"
        " 入社年月日 採用日 雇用開始日 入职日期 入职时间 到职日 到職日期 تاريخالتعيين تاريخالالتحاق تاريخالمباشرة"
    ),
}

_MORE_NUMBERS = (
    "associateid filenumber persno pernr personnelnr personid employeeref payrollnumber payrollid"
    " mitarbeiterid mitarbeiternr mitarbeiterkennung stammnummer numerodematricule matriculesalarie numeroemploye"
    " idempleado legajo codigoempleado numerodeempleado numerodipendente codicedipendente matricola numeromatricola"
    " matricula registro medewerkernummer medewerkersnummer persnr personeelsnr personeelnummer numerpracownika"
    " numerewidencyjny idpracownika 社員番号 従業員番号 社員id 工号 员工编号 員工編號 الرقمالوظيفي رقمالموظف"
)
_MORE_MANAGERS_NUMBERS = (
    " workersmanagerid managerworkerid reportstoid reportstoassociateid"
    " reportstoemployeeid supervisoreid managerempid"
    " linemanagerid reportingmanagerid managerpersonid vorgesetzterpersonalnummer personalnummervorgesetzter"
    " personalnrvorgesetzter vorgesetztennummer vorgesetzterid matriculemanager matriculedumanager"
    " matriculeresponsable matriculeduresponsable idjefe idresponsable matricolaresponsabile matriculagestor"
    " matriculadogestor"
    " personeelsnummerleidinggevende numerprzelozonego 上司社員番号 上司の社員番号 上级工号"
    " 直属上级工号 主管工号 رقمالمدير"
)

_NOT_LETTERS = re.compile(r"[\W_]+")


def plain(name: str) -> str:
    """Return a header as it is looked up: letters and digits without accents, in lower case."""
    apart = unicodedata.normalize("NFKD", name.lower())
    return _NOT_LETTERS.sub("", apart.replace("\u0142", "l").replace("\u00df", "ss"))


def _words(ours: str, field: str, more: str = "") -> tuple[str, ...]:
    found = [plain(header) for header in found_for(field)]
    return tuple(dict.fromkeys([*ours.split(), *found, *(plain(word) for word in more.split())]))


SYNONYMS = {name: _words(words, name, _MORE.get(name, "")) for name, words in _WORDS.items()}
"""Synonyms of each field, as `plain` returns them, the likelier first."""

MEANT_BY = {word: name for name, words in reversed(SYNONYMS.items()) for word in words}
"""The field of each synonym."""

NUMBERS = _words(_NUMBERS, NUMBER, _MORE_NUMBERS)
"""Synonyms of a number that identifies users."""

_WHOSE = (
    "manager",
    "supervisor",
    "managers",
    "supervisors",
    "linemanager",
    "linemanagers",
    "reportsto",
    "reportingto",
)
MANAGERS_NUMBERS = tuple(
    dict.fromkeys(
        [
            *(f"{whose}{word}" for word in ("id", "number", *NUMBERS) for whose in _WHOSE),
            *_words("", MANAGERS_NUMBER, _MORE_MANAGERS_NUMBERS),
        ]
    )
)
"""Synonyms of that number of a user's manager."""
