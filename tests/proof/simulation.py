"""A source, a lake and a warehouse in which a history happens, step by step, in one thread: every moment is known."""

from __future__ import annotations

import itertools
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never
from unittest import mock

from lambda_toolkit.pipeline.lambdas.extract.extraction import Request, extract
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import FanOut
from lambda_toolkit.pipeline.lambdas.extract.source import dense_keys
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.load.compare import compare
from lambda_toolkit.pipeline.lambdas.load.loading import LoadedBatch, load
from lambda_toolkit.pipeline.lambdas.load.rebuild import rebuild
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel.parallel_copy import Connections
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations
from lambda_toolkit.pipeline.lambdas.transform.batch import Engine, alone, replay, transform
from lambda_toolkit.pipeline.lambdas.transform.sweep import EVENT_TIMEOUT, missed_batches
from tests.proof import specimens, steps
from tests.proof.changes import KEYS
from tests.proof.crashes import CrashCounter, CrashError, CrashingClient, CrashingConnection, ReadingClient
from tests.proof.databases import BESIDE, Databases, declarations
from tests.proof.oracle import Look, Oracle
from tests.proof.source import Source, emptied
from tests.proof.star import Key, State
from tests.proof.twin import Twin
from tests.support.memory_s3 import MemoryS3
from tests.support.part_workers import Change, ThreadWorkers, by_workers
from tests.support.readers import ThreadReaders

BEGINNING = datetime(2024, 7, 1, 8, tzinfo=UTC)
FOREIGN = (  # objects of others: before, between and behind the manifests, the revisions and the data files
    "manifests/",
    "manifests/_SUCCESS",
    "manifests/batch-000000000002.json.bak",
    "manifests/batch-000000000004-copy.json",
    "manifests/~",
    "revisions/_log",
    "revisions/zz",
    "data/",
    "data/payment/_SUCCESS",
)
_SMALL_BUCKETS: dict[str, Any] = {"BUCKET": 2, "MOST_GAPS": 0.75}  # a few keys are in several, with and without gaps
_NUMBERS = itertools.count(1)  # of buckets


class Simulation:
    """One place for many histories, each of which begins with ``reset``."""

    def __init__(self, server: Any) -> None:
        self.client: Any = MemoryS3()
        self.declarations: Declarations = declarations()
        self.counts: Counter[str] = Counter()
        self.databases = Databases(server, self.declarations)
        self.source = Source(self.databases, self.counts)
        self.reader, self.quicker = self.databases.mortal("source"), self.databases.mortal("source")
        self.warehouse = self.databases.session("warehouse")
        self.loader = self.databases.mortal("warehouse")
        self.twin: Twin | None = None  # a second warehouse, where a test asks for it
        self.readers = ThreadReaders(lambda: self.databases.mortal("source"), self.declarations)
        self.reset()

    # ------------------------------------------------------------------------------------------ the beginning and end

    def reset(self) -> None:
        """Two rows or three in every table of the source, nothing in the lake, nothing in the warehouse."""
        self.source.reset()
        tables = [table.name for table in reversed(self.declarations.loading_order())]
        for place in (LIVE, BESIDE):
            self.warehouse.run(emptied([*map(place.table, tables), *place.control_tables().values()]))
        if self.twin is not None:
            self.twin.reset()
        number = next(_NUMBERS)
        self.buckets = (f"ingestion-{number}", f"processed-{number}")
        for bucket in self.buckets:
            self.client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
            self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            for key in FOREIGN:
                self.client.put_object(Bucket=bucket, Key=key, Body=b"of others")
        if isinstance(self.client, MemoryS3):
            self.client.short_pages = random.Random(0)  # noqa: S311  # the same at every run
        self.looks: list[Look] = []
        self.time = BEGINNING
        self.limits = DEFAULT_LIMITS
        self.fan_out: FanOut | None = None
        self.load_connections = 1
        self.readers.lake = Lake(self.client, self.buckets[0])
        self.change_part: Change | None = None
        self.incomplete = False

    def forget(self) -> None:
        """Frees what the history left in memory."""
        if isinstance(self.client, MemoryS3):
            for bucket in self.buckets:
                self.client.forget(bucket)

    def close(self) -> None:
        """Leaves the server."""
        self.databases.close()

    # ------------------------------------------------------------------------------------------------------ the steps

    def perform(self, history: steps.History) -> None:
        """One step after the other."""
        for step in history:
            self.step(step)

    def step(self, step: steps.Step | steps.Overtake) -> None:
        """What ``step`` says, as far as the source, the locks that others hold and the constraints let it."""
        match step:
            case steps.Do():
                self.source.do(step)
            case steps.Open(session):
                self.source.begin(session)
            case steps.End(session, commit):
                self.source.end(session, commit=commit)
            case steps.Alter("retype") if not self.looks:
                pass  # before the first batch any type is as good as another
            case steps.Alter(what):
                self.source.alter(what)
            case steps.Truncate():
                self.source.truncate()
            case steps.Refill():
                self.source.refill()
            case steps.Secure(table, rest):
                self.source.secure(table, rest)
            case steps.Copy():
                self.readers.close()
                self.source.copy([self.reader, self.quicker])
                self._reconnect()
            case steps.Restore() if self.source.has_copy:
                self.readers.close()
                self.source.restore([self.reader, self.quicker])
                self._reconnect()
                self.counts["restores"] += 1
            case steps.Restore():
                pass
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
        """Open sessions finish, refused values are corrected, and the pipeline runs until it is idle."""
        self.source.finish()
        self.step(steps.Extract())
        for _ in range(100):  # as many runs as it takes where a run reads but a few rows
            if not self.incomplete:
                break
            self.step(steps.Extract())
        assert not self.incomplete, "a table is never read to its end"
        before = len(self.looks)
        self.step(steps.Extract())
        assert len(self.looks) == before, "a change was reported twice"
        lost = [batch for batch in range(1, before + 1) if not self._exists(self.buckets[1], batch)]
        soon = datetime.now(UTC) + 2 * EVENT_TIMEOUT
        assert list(missed_batches(*(Lake(self.client, bucket) for bucket in self.buckets), soon)) == lost
        for batch in lost:
            self.transform_batch(batch)
        self.databases.await_end_of_brief_sessions()
        self.step(steps.Load())
        left = self.warehouse.rows("SELECT relname FROM pg_class WHERE relname LIKE 'filling%'")
        assert not left, "a table that took no place is left"

    def repair(self) -> bool:
        """Puts every value right that the star refuses; whether there was one."""
        tables = (specimens.DIMENSION, specimens.FACT)
        stars = [self.looks[-1].star[name] for name in tables] if self.looks else []
        unfit = {
            (key, error.column) for rows in stars for key, row in rows.items() if isinstance(row, list) for error in row
        }
        return self.source.repair(unfit)

    # --------------------------------------------------------------------------------------------------- the pipeline

    def now(self) -> datetime:
        """The functions' clock: a second later each time."""
        self.time += timedelta(seconds=1)
        return self.time

    def _extract(self, step: steps.Extract, reader: CrashingConnection) -> None:
        state, written, columns = self.source.observe()
        number = len(self.looks) + 1
        during = step.during
        meanwhile: Callable[[], None] | None = (lambda: self.step(during)) if during is not None else None
        puts = CrashCounter(step.crash, sql=False, meanwhile=meanwhile)
        reader.countdown = CrashCounter(step.crash, sql=True)
        self.counts["runs of extract"] += 1
        refused = died = False
        try:
            lake = Lake(CrashingClient(self.client, puts), self.buckets[0])
            request = Request(full=frozenset(step.full))
            with mock.patch.multiple(dense_keys, **_SMALL_BUCKETS):  # not for longer: other tests run in this process
                extracted = extract(
                    PostgresSource(reader),
                    lake,
                    self.declarations,
                    uuid.uuid4().hex,
                    request,
                    self.now,
                    self.limits,
                    fan_out=self.fan_out,
                )
        except CrashError:
            died = True
            self.counts["crashes"] += 1
        except SourceError:
            assert self.source.retyped, "refused without a reason"
            refused = True
            self.counts["refusals"] += 1
        finally:
            reader.countdown = None
            self.readers.wait()
        if died:
            self._replace(reader)
        elif not refused:
            self.incomplete = bool(extracted.incomplete)
            self.counts["tables read by readers"] += sum("ranges" in what for what in extracted.readers.values())
        if len(self.looks) >= number:
            self.counts["races"] += 1
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
        written: Mapping[str, Mapping[Key, int]],
        columns: Mapping[str, tuple[str, ...]],
        full: frozenset[str] = frozenset(),
    ) -> None:
        """Notes what the run that committed ``batch`` could see."""
        document = json.loads(self.read(self.buckets[0], manifest_key(batch)))
        altered = frozenset(table for table in KEYS if self.looks and self._described[table] != columns[table])
        self._described = columns
        look = Look(batch, document["extracted_at"], state, written, full, altered, frozenset(self.source.shown))
        if self.looks:  # whatever the clock does
            assert datetime.fromisoformat(look.extracted_at) > datetime.fromisoformat(self.looks[-1].extracted_at)
        self.looks.append(look)
        self.counts["batches"] += 1

    def _transform(self, step: steps.Transform) -> None:
        batch = len(self.looks) - step.back
        if batch >= 1:
            self.transform_batch(batch, again=step.again, crash=step.crash)

    def transform_batch(self, batch: int, *, again: bool = False, crash: steps.Crash | None = None) -> None:
        """The event of a batch reaches transform; ``again``: the batch is reprocessed."""
        ingestion = Lake(self.client, self.buckets[0])
        processed = Lake(CrashingClient(self.client, CrashCounter(crash, sql=False)), self.buckets[1])
        self.counts["runs of transform"] += 1
        was_there = self._exists(self.buckets[1], batch)
        declarations, workers = self.declarations, None
        engine: Engine = alone
        if self.change_part is not None:
            declarations = replace(declarations, part_rows=1)
            workers = ThreadWorkers(ingestion, Lake(self.client, self.buckets[1]), declarations, self.change_part)
            engine = by_workers(workers)
        try:
            done = (replay if again else transform)(ingestion, processed, declarations, batch, engine=engine)
        except CrashError:
            self.counts["crashes"] += 1
        else:
            assert done.created != was_there
            assert done.manifest.revision == 1, "the same batch became something else"
        finally:
            if workers is not None:
                workers.wait()
                self.counts["parts transformed by workers"] += len(workers.requests)

    def _load(self, step: steps.Load) -> None:
        self.loader.countdown = CrashCounter(step.crash, sql=True)
        self.counts["runs of load"] += 1
        reads = CrashCounter(step.crash, sql=False)
        try:
            lake = Lake(ReadingClient(self.client, reads, self.loader), self.buckets[1])
            warehouse = PostgresWarehouse(self.loader, connections=self._connections())
            loaded = load(warehouse, lake, self.declarations, on_batch=self._note)
        except CrashError:
            self.counts["crashes"] += 1
            self._replace(self.loader)
        else:
            assert not loaded.busy
            self.counts["pending rows"] += sum(loaded.pending.values())
            self.loader.countdown = None  # the function has ended: what follows is ours
            self.loader.run("SELECT pg_advisory_unlock_all()")
        finally:
            self.loader.countdown = None
        if self.twin is not None:
            self.counts["crashes of the twin"] += self.twin.load(self.client, self.buckets[1], step.crash)

    def _connections(self) -> Connections:
        """Those over which load copies the first rows of facts; each of them dies when load does."""
        return Connections(lambda: self.databases.brief("warehouse", self.loader.countdown), self.load_connections)

    def _note(self, done: LoadedBatch) -> None:
        ways = [written.filled for written in done.written.values()]
        self.counts["facts filled over several connections"] += sum(way.endswith(" connections") for way in ways)

    def _rebuild(self) -> None:
        """Fills the warehouse beside the live one, and compares the two."""
        lake = Lake(ReadingClient(self.client, CrashCounter(None, sql=False), self.loader), self.buckets[1])
        rebuilt = rebuild(
            PostgresWarehouse(self.loader, BESIDE, self._connections()), lake, self.declarations, lambda: True
        )
        self.loader.run("SELECT pg_advisory_unlock_all()")
        assert rebuilt.done or rebuilt.missing_batch is not None
        found = compare(self.loader, self.declarations, LIVE, BESIDE)
        assert found.equal, f"the rebuilt warehouse is another: {found}"
        assert not found.renumbered
        self.counts["rebuilds"] += 1
        if self.twin is not None:
            self.twin.load(self.client, self.buckets[1], None)
            self.twin.rebuild(self.client, self.buckets[1])

    def _exists(self, bucket: str, batch: int) -> bool:
        return Lake(self.client, bucket).exists(manifest_key(batch))

    def read(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def oracle(self, until: int | None = None) -> Oracle:
        """What must be in the warehouse once the batches up to ``until`` are."""
        return Oracle(self.looks[:until])

    def _reconnect(self) -> None:
        """Extract connects to the source again."""
        self.reader, self.quicker = self.databases.mortal("source"), self.databases.mortal("source")

    def _replace(self, dead: CrashingConnection) -> None:
        """Another connection in the place of one that died."""
        if dead is self.loader:
            self.loader = self.databases.replacement(dead, "warehouse")
        elif dead is self.reader:
            self.reader = self.databases.replacement(dead, "source")
        else:
            self.quicker = self.databases.replacement(dead, "source")


def _values(state: State) -> dict[str, dict[Key, dict[str, str | None]]]:
    """The values alone, of the columns that were always there: a new column is no change of a row."""
    return {
        table: {
            key: {column: value for column, value in row.items() if not column.startswith("extra_")}
            for key, row in rows.items()
        }
        for table, rows in state.items()
    }
