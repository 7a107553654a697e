"""Seeds arrive whole and exact, and bad ones leave nothing behind."""

import io
import socket
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import database as module
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server
from lambda_toolkit.pipeline.local_stack.totesys import seed
from lambda_toolkit.pipeline.local_stack.totesys.generator import generate
from lambda_toolkit.pipeline.local_stack.totesys.schema import TABLES
from tests.support.databases import CONFIG, made, run


@pytest.fixture
def source(postgres_server: Server) -> Iterator[Database]:
    with made(postgres_server, "seed_source", (CONFIG / "totesys.sql").read_text(encoding="utf-8")) as database:
        yield database


@pytest.fixture(scope="session")
def tables() -> dict[str, pa.Table]:
    return generate(orders=60)


@pytest.fixture
def parquet(tmp_path: Path, tables: dict[str, pa.Table]) -> Path:
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return tmp_path


def test_generated_data_fills_every_table(source: Database) -> None:
    assert seed.is_empty(source)

    rows = seed.generated(source, orders=60)

    assert tuple(rows) == TABLES
    assert rows["payment"] == rows["transaction"] == 60
    assert rows["sales_order"] + rows["purchase_order"] == 60
    for table, count in rows.items():
        assert run(source, f"SELECT count(*) FROM {table}") == [[count]]
    assert not seed.is_empty(source)


def test_copy_may_take_longer_than_connecting(source: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million orders take the server minutes: the limit of a connection's start is none of a statement."""
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.3)
    run(
        source,
        """CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
           CREATE TRIGGER slow AFTER INSERT ON payment FOR EACH STATEMENT EXECUTE FUNCTION wait()""",
    )
    copied: dict[str, int] = {}

    rows = seed.generated(source, orders=2, on_table=copied.__setitem__)

    assert copied == rows


def test_server_that_never_answers_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database("127.0.0.1", silent.getsockname()[1], "totesys", "reader", "secret")
        with pytest.raises(LocalError, match=r"database totesys at 127\.0\.0\.1:\d+ as reader: .*(timed out|network)"):
            database.connect()


def test_parquet_and_csv_arrive_the_same(source: Database, parquet: Path, tables: dict[str, pa.Table]) -> None:
    """Half of the tables as CSV: every value is then what the Arrow tables hold."""
    for name in TABLES[::2]:
        (parquet / f"{name}.parquet").unlink()
        options = pa_csv.WriteOptions(quoting_style="needed")
        pa_csv.write_csv(tables[name], parquet / f"{name}.csv", options)

    seed.from_directory(source, parquet)

    for name, table in tables.items():
        columns = ", ".join(table.column_names)
        expected = [tuple(row.values()) for row in table.to_pylist()]
        assert [tuple(row) for row in run(source, f"SELECT {columns} FROM {name}")] == expected


def test_exact_values_survive(source: Database, parquet: Path) -> None:
    stamps = {"created_at": datetime(2024, 1, 1), "last_updated": datetime(2024, 1, 1, 0, 0, 0, 1000)}
    address = {
        "address_id": 1, "address_line_1": 'a "quoted", NULL', "address_line_2": None, "district": "", "city": "NULL",
        "postal_code": "08841", "country": "Côte d'Ivoire", "phone": "line\nbreak", **stamps,
    }  # fmt: skip
    keep_only(parquet, "address", pa.Table.from_pylist([address]))

    seed.from_directory(source, parquet)

    assert run(source, f"SELECT {', '.join(address)} FROM address") == [list(address.values())]


def test_all_or_nothing(source: Database, parquet: Path) -> None:
    payments = pq.read_table(parquet / "payment.parquet")
    nowhere = pa.array([999_999] * len(payments), pa.int32())
    pq.write_table(payments.set_column(3, "transaction_id", nowhere), parquet / "payment.parquet")

    with pytest.raises(LocalError, match=r"payment\.parquet does not fit table payment.*999999.*Nothing was loaded"):
        seed.from_directory(source, parquet)

    assert seed.is_empty(source)


def test_a_source_with_data_is_left_alone(source: Database, parquet: Path) -> None:
    run(source, "INSERT INTO currency (currency_id, currency_code) VALUES (1, 'GBP')")

    with pytest.raises(LocalError, match=r"already holds data \(currency\)"):
        seed.from_directory(source, parquet)


def test_missing_files_are_all_named(source: Database, parquet: Path) -> None:
    (parquet / "staff.parquet").unlink()
    (parquet / "payment.parquet").unlink()

    with pytest.raises(LocalError, match="file for: staff, payment"):
        seed.from_directory(source, parquet)


def test_a_directory_that_is_none(source: Database, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="not a directory"):
        seed.from_directory(source, tmp_path / "nowhere")


def test_two_files_of_one_table(source: Database, parquet: Path) -> None:
    (parquet / "staff.csv").write_text("staff_id\n", encoding="utf-8")

    with pytest.raises(LocalError, match=r"both .*staff\.parquet and staff\.csv"):
        seed.from_directory(source, parquet)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("currency_id,currency_code,colour\n1,GBP,red\n", r"currency\.csv has a column.*does not have: colour"),
        ("currency_id\n1\n", r"currency\.csv lacks a column.*: currency_code"),
        ("currency_id,currency_code,currency_id\n1,GBP,1\n", "more than once: currency_id"),
        ("", "lacks a column"),
        ("currency_id,currency_code\none,GBP\n", r'line 2, column currency_id: "one"'),
        ("currency_id,currency_code\n1,GBP\n2,\n", r"null value in column \"currency_code\".*line 3"),
        ("currency_id,currency_code\n1,GBP\n1,USD\n", "duplicate key.*line 3"),
        ("currency_id,currency_code\n1,GBP,extra\n", "extra data after last expected column.*line 2"),
    ],
)
def test_a_csv_file_that_does_not_fit_is_one_clear_message(
    source: Database, parquet: Path, text: str, message: str
) -> None:
    (parquet / "currency.parquet").unlink()
    (parquet / "currency.csv").write_text(text, encoding="utf-8")

    with pytest.raises(LocalError, match=message) as raised:
        seed.from_directory(source, parquet)

    assert "currency.csv" in str(raised.value)
    assert seed.is_empty(source)


def test_a_file_that_is_not_what_its_name_says(source: Database, parquet: Path) -> None:
    (parquet / "currency.parquet").write_bytes(b"not Parquet at all")

    with pytest.raises(LocalError, match=r"currency\.parquet cannot be read as Parquet"):
        seed.from_directory(source, parquet)


@pytest.mark.parametrize("values", [[[1], [2]], [b"\xff", b"\xfe"]])
def test_a_parquet_file_with_values_that_are_no_text(source: Database, parquet: Path, values: list[object]) -> None:
    pq.write_table(pa.table({"currency_id": [1, 2], "currency_code": values}), parquet / "currency.parquet")

    with pytest.raises(LocalError, match=r"currency\.parquet cannot be converted to CSV.*currency_code"):
        seed.from_directory(source, parquet)

    assert seed.is_empty(source)


def test_a_csv_file_in_another_encoding(source: Database, parquet: Path) -> None:
    (parquet / "currency.parquet").unlink()
    (parquet / "currency.csv").write_bytes("currency_id,währung\n".encode("latin-1"))

    with pytest.raises(LocalError, match=r"currency\.csv cannot be read as CSV in UTF-8"):
        seed.from_directory(source, parquet)


def test_numbers_keep_their_scale(source: Database, parquet: Path) -> None:
    rows = pq.read_table(parquet / "sales_order.parquet").slice(0, 1).to_pylist()
    rows[0]["unit_price"] = Decimal("2.4375")
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    (parquet / "sales_order.parquet").write_bytes(file.getvalue())
    for name in ("transaction", "payment"):
        pq.write_table(pq.read_table(parquet / f"{name}.parquet").slice(0, 0), parquet / f"{name}.parquet")

    seed.from_directory(source, parquet)

    assert run(source, "SELECT unit_price FROM sales_order") == [[Decimal("2.4375")]]


def keep_only(directory: Path, table: str, content: pa.Table) -> None:
    """Leave every other file without rows."""
    for path in directory.iterdir():
        pq.write_table(content if path.stem == table else pq.read_table(path).slice(0, 0), path)
