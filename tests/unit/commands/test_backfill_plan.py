"""What a first load takes by each way: properties that hold for any table, and the billion rows of docs/scale.md."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_toolkit.pipeline.access.messages import Catalogs
from lambda_toolkit.pipeline.client.sources import sizes
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.cost import backfill
from lambda_toolkit.pipeline.cost.backfill import (
    ALONE,
    LAMBDA,
    SIMILAR,
    Setting,
    TableSize,
    best,
    estimates,
    rows_of_a_load,
    suggested_readers,
)
from lambda_toolkit.pipeline.cost.backfill_plan import backfill_plan
from lambda_toolkit.pipeline.cost.rates import rates
from lambda_toolkit.pipeline.cost.reading import (
    ADDING_UP,
    CORES,
    READERS,
    SOURCE,
    Machines,
    Mishaps,
    ReadingRates,
    line,
    reading_time,
    simulated,
)
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import FanOut
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables.filling import MOST
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import STATEMENT_TIMEOUT
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, Table
from lambda_toolkit.spec.prices import price_list
from tests.support.repository import REPOSITORY
from tests.unit.commands.test_first_load import RATES as WHOLE
from tests.unit.commands.test_first_load import SETTING as HAND
from tests.unit.commands.test_first_load import TABLES

RATES, PRICES = rates(), price_list("eu-west-2")
MEMORY = {"extract": 1769, "transform": 1769, "load": 1769}
SETTING = Setting(memory=MEMORY)
BILLION = Setting(readers=32, memory=MEMORY, source_cores=16, warehouse_cores=16, connections=8)
ORDERS = TableSize("sales_order", 1_000_000_000, 71)
tables = st.builds(TableSize, st.sampled_from(("payment", "sales_order")), st.integers(0, 10**10), st.floats(1, 5000))
settings = st.builds(
    Setting,
    readers=st.integers(0, 200),
    memory=st.fixed_dictionaries(dict.fromkeys(MEMORY, st.integers(256, 10_240))),
    is_arm=st.booleans(),
    free_connections=st.none() | st.integers(0, 200),
    source_cores=st.floats(0.5, 64),
    warehouse_cores=st.floats(0.5, 64),
    connections=st.integers(1, 16),
)


def test_billion_is_read_in_five_minutes_for_a_dollar() -> None:
    """By simulation, with ranges that are slow, and that fail; the assumptions are those of docs/scale.md."""
    plan = backfill_plan([ORDERS], BILLION, ORDERS.rows, RATES, PRICES)
    assert plan["simulated"]["ranges"] == 1000
    assert plan["simulated"]["likely"] < 300
    by_lambda = next(way for way in plan["ways"] if way["engine"] == LAMBDA)
    assert by_lambda["reading"] < 300
    assert float(by_lambda["amount"]) < 1
    assert plan["take"] == ALONE, "load writes such a batch in more than one invocation has"
    assert "in one invocation" in by_lambda["problem"]


@given(st.lists(tables, max_size=3), settings)
def test_way_to_take_can_be_done_and_is_about_quickest(found, setting) -> None:
    ways = estimates(found, setting, RATES, PRICES)
    taken = best(ways)
    assert taken.problem == ""
    assert all(taken.total <= SIMILAR * way.total for way in ways if not way.problem)
    assert all(way.dollars >= 0 and way.requests >= 0 for way in ways)


@given(tables, settings, st.integers(2, 10))
def test_more_rows_never_take_less(table, setting, times) -> None:
    larger = replace(table, rows=table.rows * times)
    before = {way.engine: way for way in estimates([table], setting, RATES, PRICES)}
    for way in estimates([larger], setting, RATES, PRICES):
        if way.engine in before:
            assert way.reading >= before[way.engine].reading
            assert way.load >= before[way.engine].load
            assert way.source_cpu >= before[way.engine].source_cpu


def test_table_that_one_load_cannot_write_is_read_alone() -> None:
    setting = replace(SETTING, timeout={"load": 900.0})
    table = TableSize("sales_order", rows_of_a_load(setting, RATES) + 1_000_000, 71)
    found = estimates([table], setting, RATES, PRICES)
    assert best(found).engine == ALONE
    assert all("in one invocation" in way.problem for way in found[1:])
    assert estimates([replace(table, rows=rows_of_a_load(setting, RATES))], setting, RATES, PRICES)[1].problem == ""


def test_readers_are_taken_where_load_fills_an_empty_fact() -> None:
    """Up to the rows that load copies straight into the fact, all else is quicker than one function."""
    plan = backfill_plan([TableSize("payment", 5_000_000, 71)], SETTING, 1_000_000, RATES, PRICES)
    assert plan["take"] == LAMBDA
    assert plan["declare"][:2] == ["[extract] readers = 4", "[extract] reader_rows = 6000000"]
    assert backfill_plan([TableSize("payment", 20_000_000, 71)], SETTING, 1, RATES, PRICES)["take"] == ALONE


def test_plan_shows_one_digit_of_seconds_and_three_of_a_share() -> None:
    odd = replace(RATES, seconds={name: seconds * 1.0137 for name, seconds in RATES.seconds.items()})
    plan = backfill_plan([TableSize("payment", 4_345_678, 77.7)], SETTING, 1, odd, PRICES)
    shown = [way[key] for way in plan["ways"] for key in ("reading", "transform", "load", "total", "source_cpu")]
    shown += [plan["simulated"]["median"], plan["simulated"]["likely"]]
    assert shown == [round(seconds, 1) for seconds in shown]
    assert [way["source_busy"] for way in plan["ways"]] == [round(way["source_busy"], 3) for way in plan["ways"]]
    assert len(plan["assumptions"]) == 6, "also when Spark begins, and what is not in it"


def test_most_simulated_runs_are_quicker_than_is_likely() -> None:
    for rows in range(2_000_000, 10_000_000, 1_000_000):
        found = backfill_plan([TableSize("payment", rows, 71)], SETTING, 1, RATES, PRICES)["simulated"]
        assert found["median"] < found["likely"] < 2 * found["median"]


def test_functions_with_less_memory_take_longer_and_cost_by_it() -> None:
    """Of 1,769 MB, which is one processor: 610 and 1,220 have 10 and 20 of 29 parts. Rates of whole numbers."""
    memory = {"extract": 610, "transform": 1220, "load": 1769}
    alone, readers = estimates(TABLES, replace(HAND, memory=memory), WHOLE, PRICES)[:2]
    reading, transform, load = 1.9 + 8.5 * 1.5 * 2.9, 1.9 + 340 * 1.45, 1.9 + 3.8 + 3.5 * 7
    assert (alone.reading, alone.transform, alone.load) == pytest.approx((reading, transform, load))
    gb_seconds = reading * 610 + (transform + 4 * 0.4) * 1220 + load * 1769
    assert float(alone.lines[1].quantity) == pytest.approx(gb_seconds / 1024, rel=1e-5)
    reading, transform, load = 1.5 + 1.9 + 8 * 1.5 * 2.9 / 4 + 0.4, 1.9 + 340 * 1.45 / 4, 1.9 + 4.5 * 3.8
    assert (readers.reading, readers.transform, readers.load) == pytest.approx((reading, transform, load))
    of_readers = 8 * 1.5 * 2.9 + 4 * 0.4 + 4 * 1.5
    gb_seconds = (reading + of_readers) * 610 + (340 * 1.45 + 4 * 0.4) * 1220 + load * 1769
    assert float(readers.lines[1].quantity) == pytest.approx(gb_seconds / 1024, rel=1e-5)


def test_small_tables_have_one_way() -> None:
    assert [way.engine for way in estimates([TableSize("design", 1_000_000, 71)], SETTING, RATES, PRICES)] == [ALONE]
    assert len(estimates([TableSize("design", 1_000_001, 71)], SETTING, RATES, PRICES)) > 1


def test_source_with_few_connections_has_no_readers() -> None:
    found = estimates([TableSize("payment", 5_000_000, 71)], replace(SETTING, free_connections=3), RATES, PRICES)
    assert "fewer than four connections" in found[1].problem
    assert suggested_readers([ORDERS], replace(SETTING, free_connections=6), RATES) == 3


@pytest.mark.parametrize(
    ("readers", "cores", "limit"), [(2, 64, READERS), (64, 1, SOURCE), (64, 64, ADDING_UP)], ids=str
)
def test_slowest_part_holds_up_reading(readers, cores, limit) -> None:
    of = ReadingRates(stream=1.4, reader=0.7, source=0.8, adding_up=0.1)
    found = reading_time(100, of, Machines(readers, 1.0, cores))
    assert found.limit == limit
    assert found.seconds == pytest.approx(100 * {READERS: 0.7, SOURCE: 0.8, ADDING_UP: 0.1}[limit])


def test_simulation_without_mishaps_is_the_model() -> None:
    of = ReadingRates(stream=1.4, reader=0.7, source=0.8, adding_up=0.01)
    machines, none = Machines(8, 0.5, 16), Mishaps(spread=0.0, failed=0.0, start=0.0)
    expected = reading_time(400, of, machines).seconds
    chance = random.Random(1)  # noqa: S311
    assert simulated(400, 400, of, machines, chance, none) == pytest.approx(expected)
    assert simulated(400, 400, of, machines, chance, Mishaps()) > expected


def test_machines_that_share_their_cores_may_be_the_limit() -> None:
    of = ReadingRates(stream=1.4, reader=0.7, source=0.8, adding_up=0.1)
    shared = reading_time(100, of, Machines(64, 1.0, 64, shared_cores=2))
    assert (shared.seconds, shared.limit) == (pytest.approx(100 * 1.5 / 2), CORES)
    assert reading_time(100, of, Machines(64, 1.0, 64, shared_cores=32)).limit == ADDING_UP
    slow = reading_time(100, of, Machines(2, 0.25, 64), fixed=3.0)
    assert (slow.seconds, slow.limit) == (pytest.approx(3 + 100 * 2.8 / 2), READERS)


@pytest.mark.parametrize(
    ("ranges", "machines", "source", "adding_up", "mishaps", "seconds"),
    [
        (3, Machines(2, 0.5, 4), 1.0, 0.1, {}, 2 * 20.0),
        (2, Machines(8, 0.5, 4), 1.0, 0.1, {}, 30.0),
        (2, Machines(8, 2.0, 4), 1.0, 0.1, {}, 0.8 * 30),
        (5, Machines(1, 0.5, 4), 1.0, 0.1, {"start": 2.0}, 62.0),
        (5, Machines(1, 0.5, 4), 1.0, 2.0, {"start": 2.0}, 120.0),
        (6, Machines(3, 0.5, 4), 8.0, 0.1, {}, 2 * 10 * 8.0 * 3 / 4),
        (2, Machines(6, 0.5, 4), 16.0, 0.1, {}, 30 * 16.0 * 2 / 4),
        (3, Machines(3, 0.5, 4), 1.0, 3.0, {}, 180.0),
        (3, Machines(2, 0.5, 4), 1.0, 0.1, {"failed": 1.0}, 2 * (20 * 1.5 + 1)),
    ],
)
def test_simulated_readers_take_one_range_after_the_other(
    ranges: int, machines: Machines, source: float, adding_up: float, mishaps: dict[str, float], seconds: float
) -> None:
    """60 millions of rows; a million takes 0.8 s to stream, and 0.5 s of a processor to read."""
    of = ReadingRates(stream=0.8, reader=0.5, source=source, adding_up=adding_up)
    given = Mishaps(**{"spread": 0.0, "failed": 0.0, "start": 0.0, **mishaps})
    chance = random.Random(1)  # noqa: S311
    assert simulated(60, ranges, of, machines, chance, given) == pytest.approx(seconds)


def test_mishaps_are_as_frequent_as_they_are_said_to_be() -> None:
    """One range in six takes a third longer, and one in a hundred fails half way."""
    of, one = ReadingRates(stream=1.0, reader=1.0, source=0.0, adding_up=0.0), Machines(1, 1.0, 1)
    chance = random.Random(1)  # noqa: S311
    spread, failed = Mishaps(failed=0.0, start=0.0), Mishaps(spread=0.0, start=0.0)
    longer = sum(simulated(1, 1, of, one, chance, spread) > 4 / 3 for _ in range(3000))
    assert 3000 / 7 < longer < 3000 / 5
    assert 10 < sum(simulated(1, 1, of, one, chance, failed) == 2.5 for _ in range(3000)) < 60
    assert simulated(1, 1, of, one, chance, Mishaps(spread=0.0, failed=0.0)) == 2.5, "1.5 s until it reads"


def test_line_through_few_points_does_not_begin_below_zero() -> None:
    assert line([(2, 4)]) == line([(2, 4), (2, 4)]) == (0.0, 2.0)
    assert line([(1, 0), (3, 4)]) == (0.0, 1.0)
    assert line([(1, 1.5), (3, 3.5)]) == (0.5, 1.0)
    with pytest.raises(ValueError, match="at least one point"):
        line([])


@given(st.floats(0, 100), st.floats(0.01, 10), st.lists(st.floats(1, 100), min_size=2, max_size=5, unique=True))
def test_line_through_points_of_a_line_is_that_line(at_zero, slope, places) -> None:
    if max(places) - min(places) < 1:
        return
    found = line([(x, at_zero + slope * x) for x in places])
    assert found == (pytest.approx(at_zero, abs=1e-6), pytest.approx(slope, abs=1e-6))


def test_limits_are_those_of_the_functions() -> None:
    assert (FanOut.seconds, FanOut.share) == (backfill.READING_SECONDS, backfill.READING_SHARE)
    assert MOST == backfill.FILLED_ROWS
    assert STATEMENT_TIMEOUT == backfill.STATEMENT_SECONDS
    assert (DEFAULT_LIMITS.rows, DEFAULT_LIMITS.bytes) == (backfill.BATCH_ROWS, backfill.BATCH_BYTES)


def test_page_has_the_rates_and_the_billion_of_the_model() -> None:
    """docs/scale.md says what the model says."""
    page = (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8")
    for name, seconds in RATES.seconds.items():
        assert re.search(rf"\| `{name}` \|[^|]*\| {seconds:.2f} \|", page), name
    plan = backfill_plan([ORDERS], BILLION, ORDERS.rows, RATES, PRICES)
    by_lambda = next(way for way in plan["ways"] if way["engine"] == LAMBDA)
    times = ", ".join(f"{step} {by_lambda[step]:.0f} s" for step in ("reading", "transform", "load"))
    assert f"{times}, ${float(by_lambda['amount']):.2f}" in " ".join(page.split())


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without a source."""
    return subprocess.run(
        [sys.executable, "deploy.py", "backfill", "--stage", "production", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
    )


def test_command_plans_rows_that_are_given() -> None:
    done = command("--plan", "--rows", "sales_order=2_000_000", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["tables"][0]["rows"] == 2_000_000
    assert {way["engine"] for way in document["ways"]} == {ALONE, *backfill.ENGINES}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--again",), 2, "needs the batches to reprocess"),
        (("--plan", "--batch", "1"), 2, "takes no --batch"),
        (("--plan",), 1, "SOURCE_DATABASE_URL"),
        (("--plan", "--rows", "sales_order"), 2, "TABLE=ROWS"),
        (("--plan", "--rows", "order=5"), 1, "[source.order]"),
    ],
    ids=["again without batches", "batch of a plan", "no source", "no number", "not declared"],
)
def test_command_says_what_it_needs(arguments, code, said) -> None:
    done = command(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def seen_by_access(monkeypatch, rows: int | None) -> Target:
    """A pipeline whose source the function ``access`` alone reaches; it has so many rows in each table."""
    pipeline = load(REPOSITORY / "config" / "pipeline.toml", "production", {})
    columns = (Column("id", "integer", "integer", True), Column("name", "text", "text", False))
    tables = tuple(Table(name, "r", columns, estimated_rows=rows) for name in pipeline.tables["source"])
    monkeypatch.setattr(sizes, "read_catalogs", lambda *_: Catalogs({"public": Catalog(tables, {})}))
    functions = {**pipeline.functions, "access": pipeline.functions["extract"]}
    return Target(replace(pipeline, functions=functions), {}, False)


def test_function_access_sees_rows_and_types(monkeypatch) -> None:
    found = sizes.source_sizes(seen_by_access(monkeypatch, 7_000_000), {"payment": 5})
    by_name = {table.name: table for table in found.tables}
    assert (by_name["staff"].rows, by_name["staff"].row_bytes) == (7_000_000, 20)
    assert by_name["payment"].rows == 5
    assert found.free_connections is None
    assert "the types" in found.notes[0] or "their types" in found.notes[0]


def test_source_without_statistics_is_not_planned(monkeypatch) -> None:
    with pytest.raises(CommandError, match="ANALYZE"):
        sizes.source_sizes(seen_by_access(monkeypatch, None), {})
