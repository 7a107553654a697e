"""A source, a lake and a warehouse in which a history happens, step by step, in one thread: every moment is known."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_never

import boto3
import moto
from pg8000.exceptions import DatabaseError, InterfaceError

from lambdas.extract.budget import DEFAULT_LIMITS
from lambdas.extract.extraction import Request, extract
from lambdas.load.comparison import compare
from lambdas.load.loading import load
from lambdas.load.preparation import prepare
from lambdas.load.rebuild import rebuild
from lambdas.load.schemas import LIVE, Warehouse
from lambdas.shared.declarations import Declarations, parse
from lambdas.shared.errors import SourceError
from lambdas.shared.lake import Lake
from lambdas.shared.layout import manifest_key
from lambdas.shared.postgres import Credentials, connect
from lambdas.shared.wire import Connection
from lambdas.transform.lost import PATIENCE, lost_batches
from lambdas.transform.transformation import replay, transform
from tests.postgres.conftest import configuration
from tests.proof import steps
from tests.proof.changes import KEYS, REPAIRS, seed
from tests.proof.faults import Countdown, CrashError, MortalClient, MortalConnection
from tests.proof.memory_s3 import MemoryS3
from tests.proof.oracle import Look, Oracle
from tests.proof.star import State

CONFIG = Path(__file__).parents[2] / "config"
READER, PASSWORD = "proof_reader", "reader's secret"
BESIDE = Warehouse.beside("check")
BEGINNING = datetime(2024, 7, 1, 8, tzinfo=UTC)
OPTIONAL = {  # columns that this source leaves open and the star demands: it must refuse their NULLs itself
    "address": "phone",
    "department": "department_name",
    "staff": "department_id",
    "sales_order": "design_id",
}
_NAMES = itertools.count(1)


class World:
    """One place for many histories, each of which begins with ``reset``."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.client: Any = MemoryS3()
        self.declarations: Declarations = parse(configuration())
        self.told: Counter[str] = Counter()
        self._prepare_templates()
        self._opened: list[Connection] = []
        self._create_databases()
        self.reset()

    # ------------------------------------------------------------------------------------------ the beginning and end

    def reset(self) -> None:
        """Two rows or three in every table of the source, nothing in the lake, nothing in the warehouse."""
        for session in self.sessions[1:]:
            session.run("ROLLBACK")
        self._restore_columns()
        self.admin.run(f"{_emptied(reversed(KEYS))}; {seed()}")
        tables = [table.name for table in reversed(self.declarations.loading_order())]
        for place in (LIVE, BESIDE):
            self.warehouse.run(_emptied([*map(place.table, tables), *place.parts().values()]))
        number = next(_NAMES)
        self.buckets = (f"ingestion-{number}", f"processed-{number}")
        for bucket in self.buckets:
            self.client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
            self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.open = dict.fromkeys(range(1, steps.SESSIONS), False)
        self.looks: list[Look] = []
        self.time = BEGINNING
        self.limits = DEFAULT_LIMITS
        self.incomplete = False
        self._retyped = False

    def empty_source(self) -> None:
        """No table of the source has a row, however many there were."""
        self.admin.run(f"TRUNCATE {', '.join(KEYS)}")

    def forget(self) -> None:
        """Frees what the history left in memory."""
        if isinstance(self.client, MemoryS3):
            for bucket in self.buckets:
                self.client.forget(bucket)

    def close(self) -> None:
        """Leaves the server."""
        self._close()

    def _prepare_templates(self) -> None:
        with contextlib.closing(connect(self._credentials("postgres"))) as admin:
            admin.run("CREATE DATABASE proof_source_template")
            admin.run("CREATE DATABASE proof_warehouse_template")
            admin.run(f"CREATE ROLE {READER} LOGIN PASSWORD 'reader''s secret'")
        with contextlib.closing(connect(self._credentials("proof_source_template"))) as source:
            source.run((CONFIG / "totesys.sql").read_text(encoding="utf-8"))
            for table, column in OPTIONAL.items():
                source.run(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
            source.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
        with contextlib.closing(connect(self._credentials("proof_warehouse_template"))) as warehouse:
            for place in (LIVE, BESIDE):
                prepare(warehouse, (CONFIG / "warehouse.sql").read_text(encoding="utf-8"), self.declarations, place)

    def _create_databases(self) -> None:
        number = next(_NAMES)
        self._names = {kind: f"proof_{kind}_{number}" for kind in ("source", "warehouse")}
        with contextlib.closing(connect(self._credentials("postgres"))) as admin:
            for kind, name in self._names.items():
                admin.run(f"CREATE DATABASE {name} TEMPLATE proof_{kind}_template")
        self.admin = self._session("source")
        self.sessions = [self.admin, *(self._session("source") for _ in range(1, steps.SESSIONS))]
        for session in self.sessions:
            session.run("SET lock_timeout = '5ms'")
        self.reader, self.quicker = self._mortal("source"), self._mortal("source")
        self.warehouse = self._session("warehouse")
        self.loader = self._mortal("warehouse")
        self._undo: list[str] = []  # of what drifted

    def _close(self) -> None:
        for connection in self._opened:
            with contextlib.suppress(InterfaceError, OSError):
                connection.close()
        self._opened.clear()
        with contextlib.closing(connect(self._credentials("postgres"))) as admin:
            for name in self._names.values():
                admin.run(f"DROP DATABASE {name} WITH (FORCE)")

    def _restore_columns(self) -> None:
        """Takes back what drifted."""
        for statement in reversed(self._undo):
            self.admin.run(statement)
        self._undo.clear()

    def _session(self, kind: str, **who: str) -> Connection:
        connection = connect(self.credentials(kind, **who))
        self._opened.append(connection)
        return connection

    def _mortal(self, kind: str) -> MortalConnection:
        who = {"user": READER, "password": PASSWORD} if kind == "source" else {}
        connection = self._session(kind, **who)
        connection.__class__ = MortalConnection
        return connection  # type: ignore[return-value]

    def credentials(self, kind: str, user: str | None = None, password: str | None = None) -> Credentials:
        """Of the ``source`` or the ``warehouse``, as their owner unless somebody else is named."""
        return self._credentials(self._names[kind], user, password)

    def _credentials(self, database: str, user: str | None = None, password: str | None = None) -> Credentials:
        server = self.server
        return Credentials(server.host, server.port, database, user or server.superuser, password or server.password)

    # ------------------------------------------------------------------------------------------------------ the steps

    def perform(self, history: steps.History) -> None:
        """One step after the other."""
        for step in history:
            self.step(step)

    def step(self, step: steps.Step | steps.Overtake) -> None:
        """What ``step`` says, as far as the source, the locks that others hold and the constraints let it."""
        match step:
            case steps.Do():
                self._do(step)
            case steps.Open(session):
                self._begin(session)
                self._attempt(session, "SELECT pg_current_xact_id()")
            case steps.End(session, commit):
                if self.open[session]:
                    self.sessions[session].run("COMMIT" if commit else "ROLLBACK")
                    self.open[session] = False
            case steps.Alter(what):
                self._alter(what)
            case steps.Truncate():
                self._attempt(steps.MAIN, "TRUNCATE payment")
            case steps.SetClock(hours):
                self.time -= timedelta(hours=hours)
            case steps.Extract():
                self._extract(step, self.reader)
            case steps.Overtake():
                self._extract(steps.Extract(), self.quicker)
            case steps.Transform():
                self._transform(step)
            case steps.Load():
                self._load(step)
            case steps.Rebuild():
                self._load(steps.Load())
                self._rebuild()
            case _:
                assert_never(step)

    def settle(self) -> None:
        """Everybody finishes, what was refused is put right, and the pipeline runs until nothing is left to do."""
        for session in self.open:
            self.step(steps.End(session))
        if self._retyped:
            self.admin.run("ALTER TABLE sales_order ALTER COLUMN units_sold TYPE integer")
            self._retyped = False
        self.step(steps.Extract())
        for _ in range(100):  # as many runs as it takes where a run reads but a few rows
            if not self.incomplete:
                break
            self.step(steps.Extract())
        assert not self.incomplete, "a table is never read to its end"
        told = len(self.looks)
        self.step(steps.Extract())
        assert len(self.looks) == told, "the same was told again"
        lost = [batch for batch in range(1, told + 1) if not self._exists(self.buckets[1], batch)]
        soon = datetime.now(UTC) + 2 * PATIENCE
        assert list(lost_batches(*(Lake(self.client, bucket) for bucket in self.buckets), soon)) == lost
        for batch in lost:
            self.transform_batch(batch)
        self.step(steps.Load())

    def repair(self) -> bool:
        """Puts every bad value right; whether there was one."""
        found = 0
        columns = self._columns()
        for table in KEYS:
            for column, (bad, good) in REPAIRS.items():
                if column in columns[table]:
                    self.admin.run(f"UPDATE {table} SET {column} = '{good}' WHERE {bad}")
                    found += self.admin.row_count
        return found > 0

    def _do(self, step: steps.Do) -> None:
        statement = step.change.sql()
        match step.how:
            case steps.SAVEPOINT:
                parts = ["SAVEPOINT s", statement, "RELEASE s"]
            case steps.UNDONE:
                parts = ["SAVEPOINT s", statement, "ROLLBACK TO s", "RELEASE s"]
            case steps.CAUGHT:
                parts = [f"DO $do$ BEGIN {statement}; EXCEPTION WHEN OTHERS THEN NULL; END $do$"]
            case steps.SWALLOWED:
                parts = [f"DO $do$ BEGIN {statement}; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $do$"]
            case _:
                parts = [statement]
        if step.session == steps.MAIN:
            self._attempt(steps.MAIN, "BEGIN", *parts, "COMMIT")
        else:
            self._begin(step.session)
            self._attempt(step.session, *parts)

    def _begin(self, session: int) -> None:
        if not self.open[session]:
            self.sessions[session].run("BEGIN")
            self.open[session] = True

    def _attempt(self, session: int, *statements: str) -> None:
        """The statements; when one is refused, its whole transaction did not happen."""
        try:
            for statement in statements:
                self.sessions[session].run(statement)
        except DatabaseError:
            self.told["refused changes"] += 1
            self.sessions[session].run("ROLLBACK")
            if session != steps.MAIN:
                self.open[session] = False
        else:
            self.told["changes"] += 1

    def _alter(self, what: str) -> None:
        if any(self.open.values()):
            return  # they might hold the table
        name = f"extra_{next(_NAMES)}"
        match what:
            case "add":
                self.admin.run(f"ALTER TABLE payment ADD COLUMN {name} jsonb")
                self._undo.append(f"ALTER TABLE payment DROP COLUMN {name}")
            case "default":
                self.admin.run(f"ALTER TABLE staff ADD COLUMN {name} numeric NOT NULL DEFAULT 1.5")
                self._undo.append(f"ALTER TABLE staff DROP COLUMN {name}")
            case "widen":
                self.admin.run("ALTER TABLE design ALTER COLUMN file_name TYPE text")
                self.admin.run("ALTER TABLE sales_order ALTER COLUMN unit_price TYPE numeric(20, 4)")
                self._undo.append("ALTER TABLE design ALTER COLUMN file_name TYPE varchar")
                self._undo.append("ALTER TABLE sales_order ALTER COLUMN unit_price TYPE numeric")
            case "retype" if self.looks:  # before the first batch any type is as good as another
                self._retyped = not self._retyped
                kind = "bigint" if self._retyped else "integer"
                self.admin.run(f"ALTER TABLE sales_order ALTER COLUMN units_sold TYPE {kind}")
                self._undo.append("ALTER TABLE sales_order ALTER COLUMN units_sold TYPE integer")

    # --------------------------------------------------------------------------------------------------- the pipeline

    def now(self) -> datetime:
        """The functions' clock: a second later each time."""
        self.time += timedelta(seconds=1)
        return self.time

    def _extract(self, step: steps.Extract, reader: MortalConnection) -> None:
        state, written, columns = self.observe()
        number = len(self.looks) + 1
        during = step.during
        meanwhile: Callable[[], None] | None = (lambda: self.step(during)) if during is not None else None
        puts = Countdown(step.crash, sql=False, meanwhile=meanwhile)
        reader.countdown = Countdown(step.crash, sql=True)
        self.told["runs of extract"] += 1
        refused = died = False
        try:
            lake = Lake(MortalClient(self.client, puts), self.buckets[0])
            request = Request(full=frozenset(step.full))
            extracted = extract(reader, lake, self.declarations, uuid.uuid4().hex, request, self.now, self.limits)
        except CrashError:
            died = True
            self.told["crashes"] += 1
        except SourceError:
            assert self._retyped, "refused without a reason"
            refused = True
            self.told["refusals"] += 1
        finally:
            reader.countdown = None
        if died:
            self._replace(reader)
        elif not refused:
            self.incomplete = bool(extracted.incomplete)
        if len(self.looks) >= number:
            self.told["races"] += 1
            assert died or refused or extracted.batch is None, "two runs committed the same batch"
            return
        if self._exists(self.buckets[0], number):
            assert not refused, "refused, and committed"
            assert died or extracted.batch == number
            self.look(number, state, written, columns, frozenset(step.full))
        elif not died and not refused and not self.incomplete:
            last = self.looks[-1].state if self.looks else {table: {} for table in KEYS}
            assert _values(state) == _values(last), "a change was not captured"

    def look(
        self,
        batch: int,
        state: State,
        written: Mapping[str, Mapping[int, int]],
        columns: Mapping[str, tuple[str, ...]],
        full: frozenset[str] = frozenset(),
    ) -> None:
        """Notes what the run that committed ``batch`` could see."""
        document = json.loads(self.read(self.buckets[0], manifest_key(batch)))
        altered = frozenset(table for table in KEYS if self.looks and self._described[table] != columns[table])
        self._described = columns
        look = Look(batch, document["extracted_at"], state, written, full, altered)
        if self.looks:  # whatever the clock does
            assert datetime.fromisoformat(look.extracted_at) > datetime.fromisoformat(self.looks[-1].extracted_at)
        self.looks.append(look)
        self.told["batches"] += 1

    def _transform(self, step: steps.Transform) -> None:
        batch = len(self.looks) - step.back
        if batch >= 1:
            self.transform_batch(batch, again=step.again, crash=step.crash)

    def transform_batch(self, batch: int, *, again: bool = False, crash: steps.Crash | None = None) -> None:
        """The event of a batch reaches transform; or somebody asks to convert it ``again``."""
        ingestion = Lake(self.client, self.buckets[0])
        processed = Lake(MortalClient(self.client, Countdown(crash, sql=False)), self.buckets[1])
        self.told["runs of transform"] += 1
        was_there = self._exists(self.buckets[1], batch)
        try:
            done = (replay if again else transform)(ingestion, processed, self.declarations, batch)
        except CrashError:
            self.told["crashes"] += 1
        else:
            assert done.created != was_there
            assert done.manifest.revision == 1, "the same batch became something else"

    def _load(self, step: steps.Load) -> None:
        self.loader.countdown = Countdown(step.crash, sql=True)
        self.told["runs of load"] += 1
        try:
            loaded = load(self.loader, Lake(self.client, self.buckets[1]), self.declarations)
        except CrashError:
            self.told["crashes"] += 1
            self._replace(self.loader)
        else:
            assert not loaded.busy
            self.told["held rows"] += sum(loaded.held.values())
            self.loader.countdown = None  # the function has ended: what follows is ours
            self.loader.run("SELECT pg_advisory_unlock_all()")
        finally:
            self.loader.countdown = None

    def _rebuild(self) -> None:
        """Fills the warehouse beside the live one, and compares the two."""
        lake = Lake(self.client, self.buckets[1])
        rebuilt = rebuild(self.loader, lake, self.declarations, BESIDE, lambda: True)
        self.loader.run("SELECT pg_advisory_unlock_all()")
        assert rebuilt.done or rebuilt.waiting_for is not None
        found = compare(self.loader, self.declarations, LIVE, BESIDE)
        assert found["equal"], f"the rebuilt warehouse is another: {found}"
        assert not found["renumbered"]
        self.told["rebuilds"] += 1

    def _replace(self, dead: MortalConnection) -> None:
        """Another connection, once the server has noticed that this one is gone."""
        kind = "warehouse" if dead is self.loader else "source"
        with contextlib.suppress(InterfaceError, OSError):
            dead.close()
        self._opened.remove(dead)
        process = dead._backend_key_data[:4]
        alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"
        for _ in range(1000):
            if not self.admin.rows(alive, pid=int.from_bytes(process, "big"))[0][0]:
                break
            time.sleep(0.001)
        fresh = self._mortal(kind)
        if dead is self.loader:
            self.loader = fresh
        elif dead is self.reader:
            self.reader = fresh
        else:
            self.quicker = fresh

    # ------------------------------------------------------------------------------------------------------- observing

    def observe(self) -> tuple[State, dict[str, dict[int, int]], dict[str, tuple[str, ...]]]:
        """The committed state: values as PostgreSQL writes them, and which transaction wrote each row."""
        described = self._columns()
        parts = []
        for table, key in KEYS.items():
            texts = ", ".join(f"{column}::text" for column in described[table])
            row = f"json_build_array({key}, xmin::text::bigint, {texts})"
            parts.append(f"'{table}', (SELECT coalesce(json_agg({row}), '[]') FROM {table})")
        rows = json.loads(self.admin.rows(f"SELECT json_build_object({', '.join(parts)})::text")[0][0])
        state = {
            table: {row[0]: dict(zip(described[table], row[2:], strict=True)) for row in rows[table]} for table in KEYS
        }
        written = {table: {row[0]: row[1] for row in rows[table]} for table in KEYS}
        return state, written, described

    def _columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of the source's tables."""
        rows = self.admin.rows(
            "SELECT c.relname, array_to_string(array_agg(attname ORDER BY attnum), ' ') FROM pg_attribute AS a"
            " JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace"
            " AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped GROUP BY 1"
        )
        return {name: tuple(columns.split(" ")) for name, columns in rows}

    def _exists(self, bucket: str, batch: int) -> bool:
        listed = self.client.list_objects_v2(Bucket=bucket, Prefix=manifest_key(batch))
        return bool(listed.get("Contents"))

    def read(self, bucket: str, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def oracle(self, until: int | None = None) -> Oracle:
        """What must be in the warehouse once the batches up to ``until`` are."""
        return Oracle(self.looks[:until])


def _emptied(tables: Iterable[str]) -> str:
    """Deleting a few rows is quicker than giving each table a new file."""
    return "; ".join(f"DELETE FROM {table}" for table in tables)


def _values(state: State) -> dict[str, dict[int, tuple[str | None, ...]]]:
    """The values alone, of the columns that were always there: a new column is no change of a row."""
    return {
        table: {
            key: tuple(value for column, value in row.items() if not column.startswith("extra_"))
            for key, row in rows.items()
        }
        for table, rows in state.items()
    }


@contextlib.contextmanager
def opened(server: Any) -> Iterator[World]:
    """A world on ``server``, with an S3 of its own in memory."""
    world = World(server)
    try:
        yield world
    finally:
        world.close()


@contextlib.contextmanager
def on_moto(world: World) -> Iterator[World]:
    """The same world with moto's S3: slower, and closer to the real one."""
    with moto.mock_aws():
        quick, world.client = (
            world.client,
            boto3.client("s3", region_name="eu-west-2", aws_access_key_id="test", aws_secret_access_key="test"),
        )
        try:
            yield world
        finally:
            world.client = quick
