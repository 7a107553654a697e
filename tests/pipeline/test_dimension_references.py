"""A dimension that refers to itself: the rows of a batch are written together, and what waits waits with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.open_items import open_rows
from lambda_toolkit.pipeline.lambdas.load.replay import replay
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import CONTROL_TABLES
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connected
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.pipeline import credentials_of
from tests.support.written_lake import WrittenLake

SCHEMA = """
CREATE TABLE dim_person (
    person_id   integer PRIMARY KEY,
    reports_to  integer REFERENCES dim_person,
    mentor      integer REFERENCES dim_person (person_id)
);
"""
DECLARED = parse(
    with_types(
        {
            "source": {"person": {"key": "person_id"}},
            "warehouse": {
                "dim_person": {
                    "kind": "dimension",
                    "from": "person",
                    "key": "person_id",
                    "columns": {name: name for name in ("person_id", "reports_to", "mentor")},
                }
            },
        },
        SCHEMA,
        "warehouse.sql",
    )
)
Person = tuple[int | None, int | None]  # reports to, mentor
PENDING = "SELECT key::integer, batch FROM pipeline.pending_row ORDER BY 2, 1"
DELETIONS = "SELECT key::integer, batch, undeleted_batch FROM pipeline.deletion ORDER BY 1, 2"


@dataclass(frozen=True)
class Batch:
    people: dict[int, Person] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()


@pytest.fixture(scope="module")
def people(postgres_server):
    with connected(credentials_of(postgres_server, "postgres")) as admin:
        admin.run("CREATE DATABASE dimension_references")
    with connected(credentials_of(postgres_server, "dimension_references")) as connection:
        prepare(connection, SCHEMA, DECLARED)
        yield connection


def begin(connection):
    connection.run("SELECT pg_advisory_unlock_all()")
    connection.run("; ".join(f"DELETE FROM {t}" for t in ("dim_person", *(f"pipeline.{n}" for n in CONTROL_TABLES))))
    return WrittenLake()


def write(lake, number, batch, revision=1):
    keys = pa.array(list(batch.people), pa.int32())
    others = [pa.array([row[n] for row in batch.people.values()], pa.int32()) for n in (0, 1)]
    rows = pa.table([keys, *others], names=["person_id", "reports_to", "mentor"])
    deleted = pa.table({"person_id": pa.array(sorted(batch.deleted), pa.int32())})
    lake.write(
        number,
        {"dim_person": rows} if batch.people else {},
        {"dim_person": deleted} if batch.deleted else {},
        revision=revision,
    )


def state(connection):
    rows = connection.rows("SELECT person_id, reports_to, mentor FROM dim_person")
    tables = (connection.rows(PENDING), connection.rows(DELETIONS))
    return ({row[0]: tuple(row[1:]) for row in rows}, *([tuple(row) for row in found] for found in tables))


@dataclass
class Model:
    """What must be there, by one row after the other."""

    rows: dict[int, Person] = field(default_factory=dict)
    waiting: list[tuple[int, int, Person]] = field(default_factory=list)  # batch, key, row
    deletions: list[list[int | None]] = field(default_factory=list)  # key, batch, undeleted in

    def load(self, number: int, batch: Batch) -> None:
        self._write(self._able(self.waiting))
        new = [(number, key, row) for key, row in batch.people.items()]
        able = self._able(new)
        self._write(able)
        self.waiting += [entry for entry in new if entry not in able]
        if new:
            self._write(self._able(self.waiting))
        for key in batch.deleted:  # what waits of it goes on to wait
            if not any(entry[0] == key and entry[2] is None for entry in self.deletions):
                self.deletions.append([key, number, None])

    def _able(self, among: list[tuple[int, int, Person]]) -> list[tuple[int, int, Person]]:
        """The most rows of ``among`` of which each refers to a row that is there, or among them."""
        able = list(among)
        while True:
            known = set(self.rows) | {key for _, key, _ in able}
            left = [entry for entry in able if all(other is None or other in known for other in entry[2])]
            if left == able:
                return able
            able = left

    def _write(self, able: list[tuple[int, int, Person]]) -> None:
        for number, key, row in sorted(able):
            self.rows[key] = row
            self.waiting = [entry for entry in self.waiting if entry[1] != key or entry[0] > number]
            for deletion in self.deletions:
                if deletion[0] == key and deletion[2] is None and deletion[1] < number:
                    deletion[2] = number

    @property
    def state(self):
        waiting = sorted((number, key) for number, key, _ in self.waiting)
        return self.rows, [(key, number) for number, key in waiting], sorted(map(tuple, self.deletions))


def run(connection, batches):
    """Loads the batches one after the other; after each the model agrees. Returns the lake."""
    lake, model = begin(connection), Model()
    for number, batch in enumerate(batches, 1):
        write(lake, number, batch)
        loaded = load(PostgresWarehouse(connection), lake, DECLARED)
        model.load(number, batch)
        assert state(connection) == model.state, f"after batch {number}"
        assert loaded.pending.get("dim_person", 0) == sum(entry[0] == number for entry in model.waiting)
    return lake


N = None
CASES = {
    "a chain, children first": [Batch({n: (n + 1 if n < 60 else N, N) for n in range(1, 61)})],
    "a row that refers to itself": [Batch({1: (1, N), 2: (1, 2)})],
    "a circle": [Batch({1: (2, N), 2: (3, N), 3: (1, N), 4: (1, 3)})],
    "what refers to a row that is missing waits, at any distance": [
        Batch({1: (N, N), 2: (9, N), 3: (2, 1), 4: (3, 4), 5: (1, 4), 6: (1, N)}),
        Batch({7: (5, N)}),
        Batch({9: (7, N)}),
    ],
    "a circle over two batches": [Batch({1: (2, N)}), Batch({2: (1, N)})],
    "a circle that refers to a row that is missing": [Batch({1: (2, N), 2: (1, 9), 3: (1, N)}), Batch({9: (3, N)})],
    "parent and child swapped": [Batch({1: (N, N), 2: (1, N)}), Batch({1: (2, N), 2: (N, N)})],
    "a key that changes, with its children": [
        Batch({1: (N, N), 2: (1, N)}),
        Batch({10: (N, N), 2: (10, N)}, frozenset({1})),
    ],
    "parent and child deleted together": [
        Batch({1: (N, N), 2: (1, N), 3: (8, N)}),
        Batch({}, frozenset({1, 2, 3})),
        Batch({2: (1, N), 3: (2, N), 8: (3, N)}),
    ],
    "a row that waits is replaced by one that waits": [
        Batch({1: (8, N)}),
        Batch({1: (9, N)}),
        Batch({9: (1, N)}),
        Batch({8: (N, N)}),
    ],
    "a row that is back waits": [Batch({1: (N, N)}), Batch({}, frozenset({1})), Batch({1: (9, N)}), Batch({9: (N, N)})],
}


@pytest.mark.parametrize("name", CASES)
def test_self_reference_loads_what_it_can_together(people, name):
    lake = run(people, CASES[name])
    before = state(people)
    numbers = list(range(1, len(CASES[name]) + 1))
    again = replay(PostgresWarehouse(people), lake, DECLARED, numbers)
    assert (again.replayed, again.written, state(people)) == (numbers, {}, before)


_keys = st.integers(1, 5)
_others = st.one_of(st.none(), _keys)
_batches = st.builds(
    lambda rows, deleted: Batch(rows, frozenset(deleted - set(rows))),
    st.dictionaries(_keys, st.tuples(_others, _others), max_size=4),
    st.sets(_keys, max_size=2),
)


@pytest.mark.no_cover
@settings(
    max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink]
)
@given(st.lists(_batches, min_size=1, max_size=5))
def test_self_reference_is_as_a_naive_model_says(people, batches):
    run(people, batches)


def test_self_reference_pending_row_says_its_reason(people):
    run(people, [Batch({1: (9, N), 2: (1, N)})])
    items = open_rows(people, DECLARED).pending
    assert [(item.key, item.column, item.value, item.reason) for item in items] == [
        ("1", "reports_to", "9", "not in dim_person yet"),
        ("2", "reports_to", "1", "not in dim_person yet"),
    ]


def test_self_reference_resolves_in_a_replay(people):
    """A parent that a replay converts brings all that waits for it, in the same run."""
    lake = run(people, [Batch({5: (N, N)}), Batch({n: (n - 1, N) for n in range(2, 5)})])
    assert len(people.rows(PENDING)) == 3
    write(lake, 1, Batch({5: (N, N), 1: (4, N)}), revision=2)
    done = replay(PostgresWarehouse(people), lake, DECLARED, [1])
    assert done.written == {"dim_person": 4}
    assert state(people)[:2] == ({5: (N, N), 1: (4, N), 2: (1, N), 3: (2, N), 4: (3, N)}, [])


def test_self_reference_of_a_long_chain_is_loaded_quickly(people):
    """20,000 rows, each the child of the one before, whose first one is rejected: they wait, then they are there."""
    count = 20_000
    run_lake = begin(people)
    write(run_lake, 1, Batch({n: (n - 1, N) for n in range(2, count + 1)}))
    people.run("SET statement_timeout = '20s'")
    try:
        assert load(PostgresWarehouse(people), run_lake, DECLARED).pending == {"dim_person": count - 1}
        write(run_lake, 2, Batch({1: (N, N)}))
        people.run("SELECT pg_advisory_unlock_all()")
        assert load(PostgresWarehouse(people), run_lake, DECLARED).appended == {"dim_person": count}
    finally:
        people.run("RESET statement_timeout")
