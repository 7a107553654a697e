"""The databases of a world, source and warehouse, and the connections to them: some of them die."""

from __future__ import annotations

import contextlib
import json
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pg8000.exceptions import InterfaceError

from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.proof import composite, filtered, specimens
from tests.proof.crashes import CrashingConnection

CONFIG = Path(__file__).parents[2] / "config"
READER, PASSWORD = "proof_reader", "reader's secret"
BESIDE = SchemaNames.shadow("check")
OPTIONAL = {  # columns that this source leaves open and the star demands: it must refuse their NULLs itself
    "address": "phone",
    "department": "department_name",
    "staff": "department_id",
    "sales_order": "design_id",
}
# Two dimensions beside those of totesys: one refers to the other, to itself and to the calendar.
MORE_COLUMNS = "ALTER TABLE staff ADD COLUMN reports_to integer, ADD COLUMN started_date date"
MORE_TABLES = """
CREATE TABLE dim_person (
    person_id      integer PRIMARY KEY,
    reports_to     integer REFERENCES dim_person,
    department_id  integer NOT NULL REFERENCES dim_department,
    started_date   date REFERENCES dim_date
);
CREATE TABLE dim_department (department_id integer PRIMARY KEY, department_name varchar NOT NULL);
"""
MORE_DECLARED: dict[str, Any] = {
    "dim_person": {
        "kind": "dimension",
        "from": "staff",
        "key": "person_id",
        "columns": {
            "person_id": "staff_id",
            **{name: name for name in ("reports_to", "department_id", "started_date")},
        },
    },
    "dim_department": {
        "kind": "dimension",
        "from": "department",
        "key": "department_id",
        "columns": {name: name for name in ("department_id", "department_name")},
    },
}
COPY = "proof_source_copy"
_NAMES = {"source": "proof_source", "warehouse": "proof_warehouse"}


def schema() -> str:
    """The schema of the warehouse."""
    totesys = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
    return totesys + MORE_TABLES + composite.WAREHOUSE + filtered.WAREHOUSE + specimens.create_warehouse()


def declarations() -> Declarations:
    """What the functions are deployed with."""
    document = tomllib.loads((CONFIG / "pipeline.toml").read_text(encoding="utf-8"))
    tables = {
        "source": {**document["source"], **composite.DECLARED_SOURCE, specimens.TABLE: {"key": specimens.KEY}},
        "warehouse": {
            **MORE_DECLARED,
            **composite.DECLARED_WAREHOUSE,
            **filtered.DECLARED,
            **specimens.declared(),
            **document["warehouse"],
        },
    }
    return parse(json.loads(json.dumps(with_types(tables, schema(), "warehouse.sql"))))


class Databases:
    """Both databases on one server: the source empty, the warehouse prepared, and one beside it."""

    def __init__(self, server: Any, declarations: Declarations) -> None:
        self._server = server
        self._opened: list[Connection] = []
        self._admin = connect(self._credentials("postgres"))
        for name in _NAMES.values():
            self._admin.run(f"CREATE DATABASE {name}")
        self._admin.run(f"CREATE ROLE {READER} LOGIN PASSWORD 'reader''s secret'")
        with contextlib.closing(connect(self.credentials("source"))) as source:
            source.run((CONFIG / "totesys.sql").read_text(encoding="utf-8"))
            source.run(MORE_COLUMNS)
            source.run(specimens.create_source())
            source.run(composite.SOURCE)
            for table, column in OPTIONAL.items():
                source.run(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
            source.run("CREATE TYPE kind AS ENUM ('SALE', 'PURCHASE')")
            source.run("ALTER TABLE transaction ALTER COLUMN transaction_type TYPE kind USING transaction_type::kind")
            source.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
        with contextlib.closing(connect(self.credentials("warehouse"))) as warehouse:
            for place in (LIVE, BESIDE):
                prepare(warehouse, schema(), declarations, place)

    def credentials(self, kind: str, user: str | None = None, password: str | None = None) -> Credentials:
        """Of the ``source`` or the ``warehouse``, as their owner unless ``user`` names another role."""
        return self._credentials(_NAMES[kind], user, password)

    def session(self, kind: str, **who: str) -> Connection:
        """A connection that lasts until ``close``, as their owner unless ``user`` names another role."""
        connection = connect(self.credentials(kind, **who))
        self._opened.append(connection)
        return connection

    def mortal(self, kind: str) -> CrashingConnection:
        """A connection as a function has it: to the source as one who may only read."""
        who = {"user": READER, "password": PASSWORD} if kind == "source" else {}
        connection = self.session(kind, **who)
        connection.__class__ = CrashingConnection
        return connection  # type: ignore[return-value]

    def replacement(self, dead: CrashingConnection, kind: str) -> CrashingConnection:
        """Another connection, once the server has noticed that ``dead`` is closed."""
        with contextlib.suppress(InterfaceError, OSError):
            dead.close()
        self._opened.remove(dead)
        process = dead._backend_key_data[:4]
        alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"
        for _ in range(1000):
            if not self._admin.rows(alive, pid=int.from_bytes(process, "big"))[0][0]:
                break
            time.sleep(0.001)
        return self.mortal(kind)

    def copy_source(self, sessions: Iterable[Connection]) -> None:
        """Keeps a copy of the source as it is now. ``sessions``: all that are connected to it, which end."""
        self._end(sessions)
        self._admin.run(f"DROP DATABASE IF EXISTS {COPY}")
        self._admin.run(f"CREATE DATABASE {COPY} TEMPLATE {_NAMES['source']}")

    def restore_source(self, sessions: Iterable[Connection]) -> None:
        """Gives the copy the name of the source, which is dropped. ``sessions``: all that are connected to it."""
        self._end(sessions)
        self._admin.run(f"DROP DATABASE {_NAMES['source']} WITH (FORCE)")
        self._admin.run(f"ALTER DATABASE {COPY} RENAME TO {_NAMES['source']}")

    def _end(self, sessions: Iterable[Connection]) -> None:
        for session in sessions:
            session.close()
            self._opened.remove(session)

    def close(self) -> None:
        """Closes every connection and drops both databases."""
        for connection in self._opened:
            with contextlib.suppress(InterfaceError, OSError):
                connection.close()
        self._opened.clear()
        for name in (*_NAMES.values(), COPY):
            self._admin.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._admin.close()

    def _credentials(self, database: str, user: str | None = None, password: str | None = None) -> Credentials:
        server = self._server
        return Credentials(server.host, server.port, database, user or server.superuser, password or server.password)
