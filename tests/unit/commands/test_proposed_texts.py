"""The files that are proposed for a shop's catalog, word by word; those beside this one have what is expected."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection
from lambda_toolkit.pipeline.proposal import propose
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table
from lambda_toolkit.pipeline.proposal.propose import mirror_of, proposal_of
from lambda_toolkit.pipeline.proposal.render import mirror_toml
from lambda_toolkit.pipeline.warehouse.ddl import statements

# A table, and its columns with their types; ! is NOT NULL, * is a part of the key, > the table that it refers to.
SHOP = """
    continent: id int*, continent text
    country: id int*, country_code text, continent_id int >continent
    city: id int*, country_id int >country, name text!
    address: id int*, city_id int! >city, street text!, plan bytea, words tsvector, scan xml, created_at timestamptz
    greeting: id int*
    customer: id int*, name text!, billing_id int! >address, shipping_id int >address, recruited_by int >customer,
      greeting_id int >greeting, updated_at timestamptz
    depot: id int*, place_id int >place, warehouse int!, shelf text
    place: id int*, city_id int >city, basket_id int >basket
    stock: warehouse int*, shelf text*, shelf_label text!, keeper_id int >customer
    tag: id int*, name text
    stock_tag: tag_id int* >tag, warehouse int*, shelf text*, order_id int >order
    product: id int*, name text, "Unit Price" numeric(8,2), ctid int, select text
    basket: id int*, filled_at timestamptz, total int
    order: id int*, customer_id int! >customer, depot_id int >depot, ordered_at timestamptz!, due_on date, total int,
      warehouse int, shelf text, parent_id int >order, order_record_id int, basket_id int >basket
    order_line: id int*, order_id int! >order, product_id numeric >product, depot_id int >depot, quantity int!,
      due_on date, _batch int
    Log: id int*, amount int, note_id int >tag
    secret: id int*
    "Hin t": id text*
    payment: id int*, order_id int >order, log_id int >Log, secret_id int >secret, lost_id int >lost,
      hint_id int >Hin t, late_id int >tag, product_name text, amount money, at timestamptz
"""
TYPES = {"int": "integer", "timestamptz": "timestamp with time zone"}


def column(text: str) -> Column:
    name, kind = re.fullmatch(r'("[^"]+"|\S+) (\S+).*', text.strip()).groups()  # type: ignore[union-attr]
    kind, required = TYPES.get(kind.rstrip("!*"), kind.rstrip("!*")), kind.endswith(("!", "*"))
    return Column(name.strip('"'), kind, kind, required)


def read(text: str) -> dict[str, Table]:
    found = {}
    for entry in re.split(r"\n(?=    \S)", text.strip("\n")):
        name, _, written = entry.strip().partition(":")
        columns = re.split(r",\s+", written.strip())
        key = tuple(column(each).name for each in columns if " " in each and each.split(" ")[1].endswith("*"))
        refers = [
            ForeignKey((column(each).name,), each.partition(">")[2], ("id",), True) for each in columns if ">" in each
        ]
        name = name.strip('"')
        found[name] = Table(name, "r", tuple(map(column, columns)), key, (key,), foreign_keys=tuple(refers))
    return found


def changed(table: Table, of: str, **more: Any) -> Table:
    return replace(table, columns=tuple(replace(c, **more) if c.name == of else c for c in table.columns))


def shop() -> Catalog:
    tables = read(SHOP)
    for name in ("stock_tag", "order", "depot"):
        place = ForeignKey(("warehouse", "shelf"), "stock", ("warehouse", "shelf"), True)
        tables[name] = replace(tables[name], foreign_keys=(*tables[name].foreign_keys, place))
    payment = tables["payment"]
    keys = [replace(key, proven=key.columns != ("late_id",)) for key in payment.foreign_keys]
    other = ForeignKey(("product_name",), "product", ("name",), True)
    tables["payment"] = replace(payment, foreign_keys=(*keys, other))
    tables["Log"] = replace(tables["Log"], unique_keys=())
    tables["secret"] = replace(tables["secret"], row_security=True)
    tables["Hin t"] = changed(tables["Hin t"], "id", exact=False)
    tables["country"] = replace(tables["country"], comment=f"ISO 3166,\nby {'name-' * 30}", estimated_rows=1249)
    tables["continent"] = replace(tables["continent"], partitions=7)
    tables["tag"] = replace(tables["tag"], primary_key=(), schema="words", relation="Tag s")
    tables["customer"] = changed(tables["customer"], "name", comment="as it is spoken", generated="stored")
    return Catalog(tuple(sorted(tables.values(), key=lambda table: table.name)), {"audit": 1, "sales": 2})


def written(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


SCHEMAS = [
    "The schema audit is not read (1 tables and views): init --schema audit reads it.",
    "The schema sales is not read (2 tables and views): init --schema sales reads it.",
]


def test_proposal_for_a_shop_is_the_one_that_was_read() -> None:
    """Each change of it is looked at: what is joined, what refers to what, and each reason."""
    found = proposal_of(shop())
    assert found.pipeline_toml == written("proposed_shop.toml")
    assert found.warehouse_sql == written("proposed_shop.sql")
    tables = tomllib.loads(found.pipeline_toml)["warehouse"]
    assert {table.table for table in statements(found.warehouse_sql)} == set(tables)
    log, *schemas = found.notes
    assert log.startswith("Log is not read. It has neither a primary key") and schemas == SCHEMAS
    assert found.mirror_json is None


def test_mirror_of_a_shop_has_its_pattern_and_what_it_lacks() -> None:
    found = mirror_of(shop())
    assert found.pipeline_toml == written("proposed_mirror.toml")
    assert found.warehouse_sql is None and len(json.loads(found.mirror_json or "")["tables"]) == len(shop().readable)
    log, *schemas = found.notes
    assert log.startswith("Log cannot be mirrored. It has neither a primary key") and schemas == SCHEMAS
    two = written("proposed_mirror.toml").replace('["*"]', '["a", "!b"]')
    assert mirror_toml(shop(), ["a", "!b"]) == two


URL = "postgresql://a:s3cret@h:5432/d"


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (ConnectionFailedError("No way."), "No way"),
        (DatabaseError({"M": "permission denied", "C": "42501"}), "permission denied"),
        (InterfaceError("network error"), "network error"),
        (OSError("reset by peer"), "reset by peer"),
        (ZeroDivisionError("a defect"), None),
    ],
)
def test_database_that_cannot_be_read_says_why(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, says: str | None
) -> None:
    """A defect is not dressed as an error of the database."""
    asked: list[Any] = []

    @contextmanager
    def connected(to: Any, *, connect_timeout: float) -> Iterator[str]:
        asked.append((to.host, to.port, to.database, to.user, to.password, connect_timeout))
        yield "session"

    def read(*given: Any) -> Any:
        asked.append(given)
        raise raised

    monkeypatch.setattr(connection, "connected", connected)
    monkeypatch.setattr(propose, "read_schemas", read)
    with pytest.raises(CommandError if says else ZeroDivisionError) as refused:
        propose.propose(URL, "HERE", schemas=["one", "two"])
    if says:
        assert str(refused.value) == f"The catalog of the database at HERE cannot be read: {says}."
    assert asked == [("h", 5432, "d", "a", "s3cret", 10.0), ("session", ["one", "two"])]


def test_database_without_a_table_to_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [replace(shop(), tables=()), replace(shop(), tables=(shop().by_name["Log"],)), shop()]
    monkeypatch.setattr(connection, "connected", lambda *_, **__: nullcontext())
    monkeypatch.setattr(propose, "read_schemas", lambda *_: found.pop(0))
    nothing = "The database at the URL has no table that can be read as it is."
    for first in ("The schema audit is not read", "Log is not read. It has neither a primary key nor a unique index. "):
        with pytest.raises(CommandError) as refused:
            propose.propose(URL)
        assert str(refused.value).startswith(f"{nothing}\n{first}")
        assert str(refused.value).endswith("\n" + "\n".join(SCHEMAS))
    found.append(shop())
    assert propose.propose(URL, mirror=True) == mirror_of(shop()) != propose.propose(URL) == proposal_of(shop())
