"""What a first load takes, with rates that make each sum one for a head: the numbers here are worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from lambda_toolkit.pipeline.cost.backfill import (
    Estimate,
    Setting,
    TableSize,
    best,
    connections_of,
    estimates,
    load_seconds,
    rows_of_a_load,
    suggested_readers,
    workers_of,
)
from lambda_toolkit.pipeline.cost.backfill_plan import _span, backfill_plan
from lambda_toolkit.pipeline.cost.month import Line
from lambda_toolkit.pipeline.cost.rates import Rates
from lambda_toolkit.spec.prices import price_list

PRICES = price_list("eu-west-2")
SECONDS = {
    "stream": 2.0,
    "reader": 1.5,
    "send": 0.5,
    "add_up_cpu": 0.25,
    "add_up": 0.1,
    "count": 0.05,
    "alone": 3.0,
    "transform": 40.0,
    "load": 2.0,
    "staged": 5.0,
    "warehouse": 8.0,
    "spark": 60.0,
}
RATES = Rates(date(2026, 1, 1), "m", 100, SECONDS, dict.fromkeys(SECONDS, "by"))
MEMORY = dict.fromkeys(("extract", "transform", "load"), 1769)
SETTING = Setting(readers=4, memory=MEMORY, source_cores=2, warehouse_cores=4, own_cores=4)
TABLES = [TableSize("big", 4_000_000, 200.0), TableSize("small", 500_000, 100.0)]
"""Eight millions of rows of the measured width, and half a million."""


def quantities(way: Estimate) -> dict[str, float]:
    return {f"{line.service} {line.item} {at > 4}": float(line.quantity) for at, line in enumerate(way.lines)}


def lambda_lines(starts: int, seconds: float, writes: int, reads: int, processor: str = "x86_64") -> dict[str, float]:
    return {
        "Lambda requests False": starts,
        f"Lambda GB-s, {processor} False": pytest.approx(seconds * 1769 / 1024),
        "S3 PUT, POST, LIST False": writes,
        "S3 GET, HEAD False": reads,
        "CloudWatch logs ingested False": pytest.approx(starts * 2500 / 1e9),
    }


SPARK_FILES = {"S3 PUT, POST, LIST True": 32, "S3 GET, HEAD True": 16}
# Extract, four readers, load; of lambda also transform. The seconds of readers: 8 * 2, 0.4 a range, 1.5 a start.
OF_READERS = 7.8 + (16 + 4 * 0.4 + 4 * 1.5) + 19


@pytest.mark.parametrize(
    ("number", "engine", "times", "source", "requests", "lines"),
    [
        (
            *(0, "one function", (1.9 + 25.5, 1.9 + 340, 1.9 + 3.8 + 24.5, 32.1), 4.25, 76),
            lambda_lines(8, 27.4 + (341.9 + 4 * 0.4) + 30.2, 36, 32),
        ),
        (
            *(1, "lambda", (1.5 + 1.9 + 4 + 0.4, 1.9 + 340 / 4, 1.9 + 17.1, 113.7), 6.4, 114),
            lambda_lines(12, OF_READERS + 340 + 4 * 0.4, 65, 37),
        ),
        (
            *(2, "glue", (7.8, 60 + 510 / 12, 19, 129.3), 6.4, 110),
            {**lambda_lines(8, OF_READERS, 33, 21), **SPARK_FILES, "Glue DPU-hours True": 0.066667},
        ),
        (
            *(3, "emr-serverless", (7.8, 90 + 510 / 12, 19, 159.3), 6.4, 110),
            {
                **lambda_lines(8, OF_READERS, 33, 21),
                **SPARK_FILES,
                "EMR Serverless vCPU-hours True": 0.266667,
                "EMR Serverless GB-hours True": 1.066667,
            },
        ),
        (
            *(4, "local-spark", (7.8, 25 + 510 / 4, 19, 179.3), 6.4, 110),
            {**lambda_lines(8, OF_READERS, 33, 21), **SPARK_FILES},
        ),
    ],
)
def test_each_way_takes_what_its_steps_take(number, engine, times, source, requests, lines) -> None:
    way = estimates(TABLES, SETTING, RATES, PRICES)[number]
    assert (way.engine, way.requests, way.problem) == (engine, requests, "")
    assert (way.reading, way.transform, way.load, way.total) == pytest.approx(times)
    assert way.source_cpu == pytest.approx(source)
    assert quantities(way) == lines
    assert (way.readers, way.slowest) == ((4, "the readers") if number else (0, ""))
    assert way.dollars == sum(line.quantity * line.price for line in way.lines)


def test_slow_source_is_waited_for_and_limits_are_named() -> None:
    """Half a processor serves 8 readers: 3 s a million. Extract has 16 s, load has one connection."""
    limits = {"extract": 16.0, "load": 16.0}
    slow = replace(SETTING, readers=8, timeout=limits, source_cores=0.5, warehouse_cores=1, is_arm=True, workers=3)
    way = estimates(TABLES, slow, RATES, PRICES)[1]
    assert (way.reading, way.load) == pytest.approx((1.5 + 1.9 + 12 + 0.4, 1.9 + 4.5 * 8))
    assert way.transform == pytest.approx(1.9 + 340 / 3)
    assert way.slowest == "the source"
    waiting = 13.9 * 8 + 8 * 1.5
    assert quantities(way) == lambda_lines(20, 15.8 + waiting + 37.9 + 340 + 3.2, 129, 73, "arm64")
    assert [text.partition(",")[0] for text in way.problem.split("; ")] == [
        "big takes more than the 8 s that extract waits for readers",
        "load writes 1",
        "reading takes 16 s",
    ]
    slower = estimates([TableSize("big", 5_401_000_000, 100.0)], SETTING, RATES, PRICES)[1]
    assert "adding up big takes more than the 540 s of a statement" in slower.problem
    assert "that extract waits" in slower.problem
    edge = estimates([TableSize("big", 5_400_000_000, 100.0)], SETTING, RATES, PRICES)[1]
    assert "adding up" not in edge.problem
    tables = [TableSize("big", rows, 100.0) for rows in (836_200_000, 836_300_000)]
    waited = [estimates([table], SETTING, RATES, PRICES)[1].problem for table in tables]
    assert ["more than the 420 s that extract waits" in each for each in waited] == [False, True], "418.1 s, and 1.9"
    enough = [
        estimates(TABLES, replace(SETTING, timeout={"extract": seconds}), RATES, PRICES)[1] for seconds in (9.75, 9.7)
    ]
    assert ["reading takes" in way.problem for way in enough] == [False, True], "7.8 s are four fifths of 9.75"
    way = estimates(TABLES, replace(slow, free_connections=3), RATES, PRICES)[1]
    assert way.problem.startswith("the source has fewer than four connections left; big takes more than the 8 s")


@pytest.mark.parametrize(
    ("free", "readers", "problem"),
    [(None, 4, False), (8, 4, False), (6, 3, False), (4, 2, False), (3, 1, True), (1, 0, True)],
)
def test_readers_take_half_of_the_free_connections(free, readers, problem) -> None:
    way = estimates(TABLES, replace(SETTING, free_connections=free), RATES, PRICES)[1]
    assert (way.readers, way.problem.startswith("the source has fewer than four connections left")) == (
        readers,
        problem,
    )


@pytest.mark.parametrize(("rows", "row_bytes", "ranges"), [(4_500_000, 200.0, 5), (200_000, 4500.0, 2)])
def test_large_tables_are_read_one_after_the_other(rows: int, row_bytes: float, ranges: int) -> None:
    """Eight and nine millions of the measured width, large by rows or by bytes, and half a million that are narrow."""
    tables = [TableSize("small", 500_000, 1.0), TABLES[0], TableSize("most", rows, row_bytes)]
    for found in (tables, tables[::-1]):
        way = estimates(found, replace(SETTING, readers=2), RATES, PRICES)[1]
        assert way.reading == pytest.approx(0.25 * 3 + (1.9 + 8 + 0.4) + (1.9 + 9 + 0.45))
        assert way.source_cpu == pytest.approx(17 * 0.8)
        of_readers = 17 * 2 + (4 + ranges) * 0.4 + 2 * 1.5
        assert float(way.lines[1].quantity) == pytest.approx(
            (way.reading + of_readers + way.load + 17.25 * 40 + (4 + ranges) * 0.4) * 1769 / 1024, abs=0.01
        )
        assert (way.slowest, int(way.lines[0].quantity)) == ("the readers", 3 + (4 + ranges) + 3 + (4 + ranges))


@pytest.mark.parametrize(
    ("rows", "row_bytes", "large"),
    [(1_000_000, 1.0, False), (1_000_001, 1.0, True), (2**18, 1024.0, False), (2**18, 1025.0, True)],
)
def test_table_is_large_beyond_a_million_rows_or_256_mib(rows: int, row_bytes: float, large: bool) -> None:
    assert TableSize("t", rows, row_bytes).is_large is large


def test_one_function_is_started_again_after_its_timeout() -> None:
    """27.4 s by 10 s at a time, and 30.2 s by 8; a function that is not declared has Lambda's 15 minutes."""
    way = estimates(TABLES, replace(SETTING, timeout={"extract": 10.0, "load": 8.0}), RATES, PRICES)[0]
    assert int(way.lines[0].quantity) == 4 + 4 + 5, "extract, transform once a batch, load"
    assert (Setting().seconds_of("load"), Setting().connections, connections_of(Setting())) == (900, 0, 4)


@pytest.mark.parametrize(
    ("millions", "workers", "busy", "billed"),
    [(2, 2, 15, 60), (100, 25, 60, 60), (101, 26, 58.27, 60), (300, 50, 90, 90)],
)
def test_spark_has_two_to_fifty_workers(millions: int, workers: int, busy: float, billed: float) -> None:
    """60 s of a processor for a million rows, four processors a worker; with the driver, a minute of each at least."""
    table = TableSize("t", millions * 1_000_000, 100.0)
    glue, emr = estimates([table], SETTING, RATES, PRICES)[2:4]
    assert (glue.transform, emr.transform) == pytest.approx((60 + busy, 90 + busy), abs=0.01)
    hours = billed * (workers + 1) / 3600
    assert [float(line.quantity) for way in (glue, emr) for line in way.lines[7:]] == pytest.approx(
        [hours, hours * 4, hours * 16], abs=1e-6
    )


def test_suggested_readers_keep_the_source_busy() -> None:
    """One takes 4 s for a million of rows; the source 1.5 s of its processors, and 0.2 s to add up."""
    four = replace(SETTING, source_cores=4)
    assert suggested_readers(TABLES, four, RATES) == 11, "4 / (1.5 / 4)"
    assert suggested_readers(TABLES, replace(four, source_cores=64), RATES) == 20, "4 / 0.2"
    assert suggested_readers(TABLES, replace(four, memory={"extract": 884}), RATES) == 17, "a slow reader: 6 / 0.375"
    assert suggested_readers([], four, RATES) == 2
    quick = replace(RATES, seconds={**SECONDS, "add_up": 0.01})
    many = [replace(four, source_cores=999, free_connections=free) for free in (None, 500, 126)]
    assert [suggested_readers(TABLES, setting, quick) for setting in many] == [64, 64, 63], "64, where 200 would help"
    assert [suggested_readers(TABLES, replace(four, free_connections=n), RATES) for n in (1, 5, 8, 99)] == [2, 2, 4, 11]


def test_load_waits_for_its_processor_or_for_the_warehouse() -> None:
    """2 s a million by its own processor, 8 s by the warehouse, of which 70 % are divided among connections."""

    def seconds(rows: float, *, is_first: bool = True, **changed: Any) -> float:
        return load_seconds(rows, replace(SETTING, **changed), RATES, is_first=is_first)

    assert seconds(1e6) == pytest.approx(8 * (0.3 + 0.7 / 4))
    assert seconds(1e6, connections=2) == pytest.approx(8 * (0.3 + 0.7 / 2))
    assert seconds(1e6, connections=8, warehouse_cores=32) == pytest.approx(8 * (0.3 + 0.7 / 8))
    assert seconds(1e6, connections=8, warehouse_cores=0.5) == pytest.approx(8)
    assert seconds(1e6, memory={"load": 177}) == pytest.approx(2 * 1769 / 177)
    assert seconds(5e6) == pytest.approx(19)
    assert seconds(5_000_001) == pytest.approx(35.000007), "through a staging table"
    assert seconds(1e6, is_first=False) == pytest.approx(7)
    assert rows_of_a_load(SETTING, RATES) == 102_000_000, "0.8 of 900 s, at 7 s a million"
    assert rows_of_a_load(replace(SETTING, timeout={"load": 100.0}), RATES) == 11_000_000


def test_connections_and_workers_are_those_declared_or_suggested() -> None:
    def connections(declared: int, cores: float) -> int:
        return connections_of(replace(SETTING, connections=declared, warehouse_cores=cores))

    assert [connections(0, cores) for cores in (0.5, 4, 6.9, 32)] == [1, 4, 6, 6]
    assert connections(9, 1) == 9
    assert [workers_of(TABLES, replace(SETTING, workers=workers), RATES) for workers in (0, 1, 2, 7)] == [11, 11, 2, 7]
    assert workers_of(TABLES, replace(SETTING, memory={"transform": 884}), RATES) == 22
    assert [workers_of(found, SETTING, RATES) for found in ([], [TableSize("x", 10**9, 100)])] == [2, 50]


def test_function_without_declared_memory_has_one_gigabyte() -> None:
    way = estimates([TABLES[1]], replace(SETTING, memory={}), RATES, PRICES)[0]
    slower = 1769 / 1024
    assert way.transform == pytest.approx(1.9 + 20 * slower)
    seconds = way.reading + (way.transform + 0.4) + way.load
    assert float(way.lines[1].quantity) == pytest.approx(seconds, abs=0.01), "GB-s"


def test_cheapest_of_the_quick_is_the_best() -> None:
    def way(engine: str, total: float, amount: int, problem: str = "") -> Estimate:
        line = Line("s", "i", PRICES.hours * amount, "u", PRICES.hours, PRICES.hours)
        return Estimate(engine, 1, 1, 1, total, 1, 1, (line,), problem)

    first, second = way("a", 100, 5), way("b", 110, 4)
    assert best([first, second, way("c", 111, 3), way("d", 1, 1, "no")]).engine == "b"
    assert best([first, replace(second, total=110.1)]).engine == "a"


def plan(tables: list[TableSize], rates: Mapping[str, float] = SECONDS, **changed: Any) -> dict[str, Any]:
    made = replace(RATES, seconds={**SECONDS, **rates})
    return backfill_plan(tables, replace(SETTING, **changed), 1_000_000, made, PRICES, ["a note"])


def test_plan_has_rounded_times_and_the_busy_share() -> None:
    found = plan(list(reversed(TABLES)))
    assert [table["name"] for table in found["tables"]] == ["big", "small"], "the largest first"
    way = found["ways"][1]
    assert way == {
        "engine": "lambda",
        "readers": 4,
        "reading": 7.8,
        "transform": 86.9,
        "load": 19.0,
        "total": 113.7,
        "source_cpu": 6.4,
        "source_busy": 0.41,
        "requests": 114,
        "amount": way["amount"],
        "slowest": "the readers",
        "problem": "",
    }
    assert float(way["amount"]) == pytest.approx(0.0117, abs=0.0001)
    assert (found["take"], found["declare"]) == ("one function", [])
    assert found["why"] == "Readers would save nothing: transform takes 86% of its work, while others are read."
    assert (found["format"], found["region"], found["measured"]) == (1, "eu-west-2", "2026-01-01")
    assert (found["simulated"]["table"], found["simulated"]["ranges"], found["simulated"]["runs"]) == ("big", 4, 40)
    assert found["rates"]["send"] == {"seconds": 0.5, "by": "by"} and found["assumptions"][0] == "a note"
    assert found["prices"] == {"estimated": False, "read": PRICES.read.isoformat()}


def test_plan_says_why_there_is_one_way() -> None:
    assert plan([TABLES[1]])["why"] == "No table is larger than a batch: there is nothing to divide."
    assert plan([TABLES[1]])["simulated"] is None
    why = plan(TABLES, free_connections=3)["why"]
    assert why == "It is the only way that can be done: the source has fewer than four connections left."


def test_plan_declares_what_is_not_declared_yet() -> None:
    """Rows that one function reads slowly: readers are worth it, and transform takes no time."""
    slow = replace(RATES, seconds={**SECONDS, "alone": 300.0, "transform": 1.0})

    def made(tables: list[TableSize], reader_rows: int, **changed: Any) -> dict[str, Any]:
        return backfill_plan(tables, replace(SETTING, **changed), reader_rows, slow, PRICES)

    big = [TABLES[0]]
    found = made(big, 1_000_000, readers=0)
    assert found["take"] == "lambda"
    assert found["declare"] == [
        "[extract] readers = 6",
        "[extract] reader_rows = 5000000",
        "[load] connections = 4",
        "[transform] workers = 2",
    ]
    assert made(big, 4_000_000, connections=4, workers=2)["declare"] == []
    assert made(big, 3_999_999, connections=4, workers=2)["declare"] == ["[extract] reader_rows = 5000000"]
    assert found["why"] == (
        "It saves 40 min of one function's 40 min; load takes 60% of its work. "
        "Spark, which begins later, would take 2 min and $0.02."
    )


def test_plan_takes_spark_where_transform_takes_longest() -> None:
    found = plan(TABLES, {"alone": 30.5, "transform": 4000.0, "spark": 1.0}, readers=1, connections=4)
    assert found["take"] == "local-spark"
    assert found["declare"] == [
        "[extract] readers = 6",
        "[extract] reader_rows = 5000000",
        '[backfill] engine = "local-spark"',
    ]
    assert found["why"] == "It saves 3 min of one function's 4 min; transform takes 41% of its work."


def test_plan_saves_readers_that_would_gain_little() -> None:
    why = plan(TABLES, {"alone": 3.42, "transform": 1.0}, readers=20)["why"]
    assert why == "Readers would save 1 s, which is little: reading takes 43% of its work, while others are read."
    assert [_span(seconds) for seconds in (119, 120, 5999, 6000, 3_600_000)] == [
        *("119 s", "2 min", "100 min", "1.7 h", "1000.0 h"),
    ]


def test_plan_declares_rows_of_the_largest_that_readers_read() -> None:
    """One is large by its bytes; another has more rows, and is small."""
    bytes_alone, small = TableSize("bytes", 600_000, 6000.0), TableSize("small", 900_000, 1.0)
    slow = replace(RATES, seconds={**SECONDS, "alone": 300.0, "transform": 1.0})
    for tables, rows, declared in (
        ([small, bytes_alone], 600_000, []),
        ([small, bytes_alone], 599_999, ["[extract] reader_rows = 1000000"]),
        ([TABLES[0], bytes_alone], 600_000, ["[extract] reader_rows = 5000000"]),
    ):
        setting = replace(SETTING, readers=2, connections=4, workers=2)
        found = backfill_plan(tables, setting, rows, slow, PRICES)
        assert (found["take"], found["declare"]) == ("lambda", declared)
        assert found["simulated"]["table"] == ("big" if TABLES[0] in tables else "bytes")


@pytest.mark.parametrize(
    ("rows", "readers", "ranges"),
    [
        (5_400_000, 4, 6),
        (5_400_000, 8, 8),
        (5_400_000, 2, 6),
        (1_000_001, 1, 6),
        (5_000_000_001, 4, None),
    ],
)
def test_simulation_counts_and_waits_for_the_slowest(rows: int, readers: int, ranges: int | None) -> None:
    """Adding up is so slow that nothing is left to chance: 100 s a million, and 0.05 to count. Few are simulated."""
    found = plan([TableSize("t", rows, 200.0)], {"add_up": 100.0} if readers > 1 else {}, readers=readers)["simulated"]
    if ranges is None:
        assert found is None, "more than 5,000 ranges"
    elif readers > 1:
        seconds = round(rows / 1e6 * 2 * 100.05, 1)
        assert found == {"table": "t", "ranges": ranges, "runs": 40, "median": seconds, "likely": seconds}
    else:
        assert found["ranges"] == ranges and 1.5 < found["median"] < found["likely"], "as many as are suggested"


def test_plan_says_what_it_assumes() -> None:
    free, rows, load = plan(TABLES, free_connections=8)["assumptions"][2:5]
    assert (free.partition(";")[0], "beside 100 of" in rows) == ("connections of the source: 8 are free", True)
    assert "263,158 rows a second" in load and "over 4 connections" in load and "otherwise 142,857" in load
    one = plan(TABLES, connections=1)["assumptions"]
    assert "are not known" in one[2] and "125,000 rows a second" in one[4] and "over one connection" in one[4]
    assert "over 2 connections" in plan(TABLES, connections=2)["assumptions"][4]


def test_source_cannot_be_busier_than_busy() -> None:
    busy = [way["source_busy"] for way in plan(TABLES, {"send": 4.0}, source_cores=0.5)["ways"]]
    assert busy[0] == 1.0 and max(busy) <= 1.0, "one function: 34 s of it in 27 s of half a processor"


def test_narrow_rows_take_half_of_the_measured_width() -> None:
    one, other = (estimates([TableSize("t", 1000, width)], SETTING, RATES, PRICES)[0].reading for width in (1.0, 50.0))
    assert one == other == pytest.approx(1.9 + 0.001 * 3 / 2)
    only = estimates([TABLES[1]], SETTING, RATES, PRICES)
    assert [(way.engine, int(way.lines[0].quantity), way.requests) for way in only] == [("one function", 5, 22)]
