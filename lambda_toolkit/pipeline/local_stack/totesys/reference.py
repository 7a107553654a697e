"""Generates the small tables of the source. Names are invented; the irregularities are those of the live data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lambda_toolkit.pipeline.local_stack.totesys.draw import Draw

Row = dict[str, Any]

FIRST_LOAD = datetime(2022, 11, 3, 14, 20, 49, 962_000)  # when the live database was first filled
SECOND_LOAD = datetime(2022, 11, 3, 14, 20, 51, 563_000)

CURRENCIES = ("GBP", "USD", "EUR")
PAYMENT_TYPES = ("SALES_RECEIPT", "SALES_REFUND", "PURCHASE_PAYMENT", "PURCHASE_REFUND")
DEPARTMENTS = (
    ("Sales", "Manchester", "Richard Roma"),
    ("Purchasing", "Manchester", "Naomi Lapaglia"),
    ("Production", "Leeds", "Chester Ming"),
    ("Dispatch", "Leds", "Mark Hanna"),  # the live database has this misspelling; the pipeline must preserve it
    ("Finance", "Manchester", "Jordan Belfort"),
    ("Facilities", "Manchester", "Shelley Levene"),
    ("Communications", "Leeds", "Ann Blake"),
    ("HR", "Leeds", "James Link"),
)
STAFF = (
    "Ada Marsh", "Ben Holloway", "Carys Penrose", "Dilip Rao", "Elsa Brandt", "Femi Adeyemi", "Greta Lindqvist",
    "Hugo Marchetti", "Ines Duarte", "Jonas Weber", "Keiko Tanaka", "Liam Doyle", "Mona Haddad", "Nils Aaberg",
    "Olga Petrenko", "Priya Nair", "Quinn O'Keefe", "Rosa Jimenez", "Stefan Kowalski", "Tara VonRueden",
)  # fmt: skip
COMPANIES = (
    "Ashdown and Sons", "Barlow, Pike and Thorne", "Cavendish Inc", "Drummond Inc", "Ellery, Frost and Gale",
    "Hartwell LLC", "Ingram, Jessop and Kane", "Lockhart - Mayne", "Nettleton LLC", "Orchard - Pryce",
    "Quill - Ravenscroft", "Selby - Ellery", "Tennant, Usher and Vane", "Wexford, Yarrow and Zell",
    "Abbott, Bannister and Crewe", "Dorset, Finch and Grieve", "Halifax Group", "Jarrow and Sons",
    "Kendal, Lowther and Moss", "O'Rourke, Penhale and Quick",
)  # fmt: skip
CITIES = (
    "New Arden", "Aliso Bay", "Lake Bramley", "Carrowport", "Fort Denby", "Eastmere", "North Farleigh", "Suffolk",
    "New Garth", "Hollinsford", "Corpus Vale", "Inverton", "Jutland Park", "Kelsoburgh", "East Larkin",
    "South Merrow", "Norwick", "Lake Orrin", "West Penhallow", "Pueblo", "Fresden", "Sayre Hill", "Derekport",
    "New Torrin", "East Ulver", "Napton", "Oakland Park", "Utica Green", "Bartell View", "Lake Wyre",
)  # fmt: skip
COUNTRIES = (
    "Turkey", "San Marino", "Samoa", "Republic of Korea", "Bosnia and Herzegovina", "Zimbabwe", "Faroe Islands",
    "United Kingdom", "Australia", "Democratic People's Republic of Korea", "Japan", "Tajikistan",
    "Bouvet Island (Bouvetoya)", "Iraq", "Heard Island and McDonald Islands", "Iceland", "Indonesia", "Kiribati",
    "Sierra Leone", "Republic of Korea", "Bolivia", "Svalbard & Jan Mayen Islands", "Papua New Guinea",
    "Antigua and Barbuda", "Sudan", "American Samoa", "Guam", "Austria", "Congo", "Falkland Islands (Malvinas)",
)  # fmt: skip
STREETS = ("Arch Dale", "Herring Via", "Sincere Fort", "Cole Corner", "Upper Track", "Koch Drives", "Sibyl Cliff")
SECOND_LINES = ("Tremaine Circles", "Axel Freeway", "Leuschke Glens", "Izabella Ways", "Nora Bridge")
DISTRICTS = ("Avon", "Bedfordshire", "Buckinghamshire", "Berkshire", "Borders", "Cambridgeshire")
CONTACTS = ("Micheal Toy", "Mrs. Lucy Runciman", "Jane Hane III", "Christy O'Hara", "Dr. Doris Heath", "Jake Welch DVM")


def addresses(draw: Draw) -> list[Row]:
    """Return one address per city: most without a second line or a district, one with a leading zero in its code."""
    rows = []
    for number, (city, country) in enumerate(zip(CITIES, COUNTRIES, strict=True), start=1):
        code = f"{draw.below(100_000):05}" + (f"-{draw.below(10_000):04}" if draw.chance(0.5) else "")
        rows.append(
            {
                "address_id": number,
                "address_line_1": f"{draw.between(1, 99_999)} {draw.one_of(STREETS)}",
                "address_line_2": draw.one_of(SECOND_LINES) if draw.chance(0.3) else None,
                "district": draw.one_of(DISTRICTS) if draw.chance(0.5) else None,
                "city": city,
                "postal_code": "08841" if number == 6 else code,
                "country": country,
                "phone": f"{draw.below(10_000):04} {draw.below(1_000_000):06}",
                **_stamps(FIRST_LOAD),
            }
        )
    return rows


def counterparties(draw: Draw) -> list[Row]:
    """Return one counterparty per company name, some at the same address."""
    return [
        {
            "counterparty_id": number,
            "counterparty_legal_name": name,
            "legal_address_id": draw.between(1, len(CITIES)),
            "commercial_contact": draw.one_of(CONTACTS),
            "delivery_contact": draw.one_of(CONTACTS),
            **_stamps(SECOND_LOAD),
        }
        for number, name in enumerate(COMPANIES, start=1)
    ]


def staff(draw: Draw) -> list[Row]:
    """Return one member of staff per name."""
    rows = []
    for number, name in enumerate(STAFF, start=1):
        first, last = name.split(" ")
        rows.append(
            {
                "staff_id": number,
                "first_name": first,
                "last_name": last,
                "department_id": draw.between(1, len(DEPARTMENTS)),
                "email_address": f"{first}.{last}@terrifictotes.com".lower(),
                **_stamps(SECOND_LOAD),
            }
        )
    return rows


def currencies() -> list[Row]:
    """Return the currencies of orders."""
    return [
        {"currency_id": number, "currency_code": code, **_stamps(FIRST_LOAD)}
        for number, code in enumerate(CURRENCIES, start=1)
    ]


def payment_types() -> list[Row]:
    """Return four payment types, of which the live data uses two."""
    return [
        {"payment_type_id": number, "payment_type_name": name, **_stamps(FIRST_LOAD)}
        for number, name in enumerate(PAYMENT_TYPES, start=1)
    ]


def departments() -> list[Row]:
    """Return the departments of the live database."""
    return [
        {"department_id": number, "department_name": name, "location": location, "manager": manager}
        | _stamps(FIRST_LOAD)
        for number, (name, location, manager) in enumerate(DEPARTMENTS, start=1)
    ]


def _stamps(moment: datetime) -> Row:
    return {"created_at": moment, "last_updated": moment}
