"""What a first load takes by each way of doing it: minutes, requests, dollars, the load of the source. Pure.

The rates are measured (``rates.toml``), the prices AWS's (``spec/prices.toml``), the rest is assumed: the constants
here, each with why. docs/scale.md has the model in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from lambda_script import PriceList
from lambda_toolkit.pipeline.cost.month import ZERO, FunctionUse, Line, Month, bill
from lambda_toolkit.pipeline.cost.rates import Rates
from lambda_toolkit.pipeline.cost.reading import MILLION, SOURCE, Machines, ReadingRates, ReadingTime, reading_time

ALONE, LAMBDA, GLUE, EMR, LOCAL_SPARK = "one function", "lambda", "glue", "emr-serverless", "local-spark"
ENGINES = (LAMBDA, GLUE, EMR, LOCAL_SPARK)
"""Who transforms what readers have read: `[backfill] engine`."""
BATCH_ROWS, BATCH_BYTES = MILLION, 256 * 1024**2  # extract.limits: what is larger is read in ranges
READING_SECONDS, READING_SHARE = 420.0, 0.5  # extract's readers.fan_out: at most, and of its time; then it reads alone
STATEMENT_SECONDS = 540.0  # shared.postgres.connection: the source ends a longer statement
FULL_PROCESSOR = 1769  # MB: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MOST_READERS = 64  # suggested; more hardly ever help, as the source is the limit before
SAFE = 0.8  # of a function's timeout: what is planned for one invocation
START, RANGE = 1.5, 0.4  # seconds: of a new environment; of a connection, a snapshot and a file, for each range
FILLED_ROWS = 5 * MILLION  # load's tables.filling: more go through a staging table, as those of a fact that has rows
SERIAL = 0.3  # of what the warehouse does to fill a fact, adding its foreign keys: not divided among connections
MOST_CONNECTIONS = 6  # beyond these, load's own process is the limit
TRANSFORM_SECONDS = 30.0  # so many workers that they take about as long
SPARK_CORES, SPARK_GB = 4, 16  # of a worker: Glue's G.1X, and the same on EMR Serverless
SPARK_SECONDS, MOST_WORKERS = 60.0, 50  # so many workers that they take about a minute; at most
SPARK_STARTS: Mapping[str, float] = {GLUE: 60.0, EMR: 90.0, LOCAL_SPARK: 25.0}  # seconds until a job begins
LEAST_BILLED = 60.0  # seconds of a worker: Glue's and EMR Serverless's minimum
SIMILAR = 1.1  # how much longer than the quickest a way may take, and count as quick
_S3 = {"reader": (8, 2), "transform": (8, 4), "load": (0, 3), "spark": (8, 4)}  # requests for each file: PUT, GET


@dataclass(frozen=True)
class TableSize:
    """What PostgreSQL's catalog says of a table."""

    name: str
    rows: int
    """``pg_class.reltuples``."""
    row_bytes: float
    """The widths of its columns in ``pg_stats``; or what its pages have for a row."""
    bytes: int = 0
    """On disk, without indexes."""
    pages: int = 0

    @property
    def is_large(self) -> bool:
        """Whether it is more than a batch has."""
        return self.rows > BATCH_ROWS or self.rows * self.row_bytes > BATCH_BYTES


@dataclass(frozen=True)
class Setting:
    """What is declared, and what the databases have."""

    readers: int = 0
    """`[extract] readers`; below 2: as many as are suggested."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """MB, by function: extract, transform, load."""
    timeout: Mapping[str, float] = field(default_factory=dict)
    """Seconds, likewise."""
    is_arm: bool = False
    workers: int = 0
    """`[transform] workers`; below 2: as many as are suggested."""
    connections: int = 0
    """`[load] connections`; 0: as many as are suggested."""
    free_connections: int | None = None
    """Of the source; None: not known."""
    source_cores: float = 4
    warehouse_cores: float = 4
    own_cores: float = 2
    """Of the machine that runs local Spark."""

    def cores(self, function: str) -> float:
        """Processors that one thread of ``function`` has: at most one."""
        return min(1.0, self.memory_of(function) / FULL_PROCESSOR)

    def memory_of(self, function: str) -> int:
        """MB of ``function``; of one that is not declared, what the shipped ones have."""
        return self.memory.get(function, 1024)

    def seconds_of(self, function: str) -> float:
        """The timeout of ``function``; of one that is not declared, the longest that Lambda permits."""
        return self.timeout.get(function, 900)


@dataclass(frozen=True)
class Estimate:
    """What one way takes. Times in seconds."""

    engine: str
    reading: float
    transform: float
    load: float
    total: float
    source_cpu: float
    requests: int
    """Invocations, and requests to S3."""
    lines: tuple[Line, ...]
    problem: str = ""
    """Why it cannot be done so; empty: it can."""
    readers: int = 0
    slowest: str = ""
    """What holds reading up, of the largest table."""

    @property
    def dollars(self) -> Decimal:
        """US dollars, without anything that is free."""
        return sum((line.amount for line in self.lines), ZERO)


def estimates(tables: Sequence[TableSize], setting: Setting, rates: Rates, prices: PriceList) -> list[Estimate]:
    """Every way, in a fixed order: one function, then the engines that transform what readers have read."""
    found = [_alone(tables, setting, rates, prices)]
    if any(table.is_large for table in tables):
        found += [_by_readers(engine, tables, setting, rates, prices) for engine in ENGINES]
    return found


def best(found: Sequence[Estimate]) -> Estimate:
    """The cheapest of those that are about as quick as the quickest that can be done."""
    possible = [each for each in found if not each.problem]
    quickest = min(each.total for each in possible)
    return min((each for each in possible if each.total <= SIMILAR * quickest), key=lambda each: each.dollars)


def reading_rates(table: TableSize, rates: Rates) -> ReadingRates:
    """The rates of ``table``'s rows."""
    width, seconds = rates.width(table.row_bytes), rates.seconds
    return ReadingRates(
        stream=seconds["stream"] * width,
        reader=seconds["reader"] * width,
        source=(seconds["send"] + seconds["add_up_cpu"]) * width,
        adding_up=seconds["add_up"] * width,
    )


def suggested_readers(tables: Sequence[TableSize], setting: Setting, rates: Rates) -> int:
    """So many that the source, and not the readers, is the limit; half of its free connections at most."""
    wanted = 2
    for table in tables:
        of = reading_rates(table, rates)
        each = max(of.stream, of.reader / setting.cores("extract"))
        wanted = max(wanted, math.ceil(each / max(of.source / setting.source_cores, of.adding_up)))
    most = MOST_READERS if setting.free_connections is None else max(setting.free_connections // 2, 2)
    return min(wanted, most, MOST_READERS)


def load_seconds(rows: float, setting: Setting, rates: Rates, *, is_first: bool = True) -> float:
    """How long load writes a batch of so many rows, in one transaction; ``is_first``: into an empty fact."""
    own = rates.seconds["load"] / setting.cores("load")
    if not is_first or rows > FILLED_ROWS:
        return rows / MILLION * (own + rates.seconds["staged"])
    several = max(1.0, min(connections_of(setting), setting.warehouse_cores))
    divided = SERIAL + (1 - SERIAL) / several
    return rows / MILLION * max(own, rates.seconds["warehouse"] * divided)


def rows_of_a_load(setting: Setting, rates: Rates) -> int:
    """How many rows load writes in one invocation, into an empty fact."""
    seconds = SAFE * setting.seconds_of("load")
    return int(seconds / load_seconds(100 * MILLION, setting, rates) * 100) * MILLION


def connections_of(setting: Setting) -> int:
    """Over how many connections load fills a fact: as declared, or as many as the warehouse has processors."""
    return setting.connections or max(1, min(int(setting.warehouse_cores), MOST_CONNECTIONS))


def workers_of(tables: Sequence[TableSize], setting: Setting, rates: Rates) -> int:
    """Invocations of transform at a time: as declared, or so many that they take about half a minute."""
    if setting.workers > 1:
        return setting.workers
    cpu = sum(_weighed(table, rates) for table in tables if table.is_large) * rates.seconds["transform"]
    return min(max(2, math.ceil(cpu / setting.cores("transform") / TRANSFORM_SECONDS)), MOST_WORKERS)


def _weighed(table: TableSize, rates: Rates) -> float:
    """Millions of rows of the measured width that take as long."""
    return table.rows / MILLION * rates.width(table.row_bytes)


def _alone(tables: Sequence[TableSize], setting: Setting, rates: Rates, prices: PriceList) -> Estimate:
    """Extract reads a batch after the other, while transform and load process those before."""
    weighed = sum(_weighed(table, rates) for table in tables)
    rows = sum(table.rows for table in tables)
    batches = max(1, sum(math.ceil(table.rows / BATCH_ROWS) for table in tables if table.is_large))
    seconds = rates.seconds
    begin = START + RANGE
    reading = begin + weighed * max(seconds["alone"], seconds["reader"] / setting.cores("extract"))
    transform = begin + weighed * seconds["transform"] / setting.cores("transform")
    first = min(rows, BATCH_ROWS)
    load = begin + load_seconds(first, setting, rates) + load_seconds(rows - first, setting, rates, is_first=False)
    uses = [
        _use("extract", setting, 1 + reading / setting.seconds_of("extract"), reading, batches),
        _use("transform", setting, batches, transform + batches * RANGE, batches),
        _use("load", setting, 1 + load / setting.seconds_of("load"), load, batches),
    ]
    return _estimate(
        ALONE, reading, transform, load, max(reading, load) + begin, weighed * seconds["send"], uses, prices, ()
    )


def _by_readers(
    engine: str, tables: Sequence[TableSize], setting: Setting, rates: Rates, prices: PriceList
) -> Estimate:
    """Readers read each large table as one batch; ``engine`` transforms it, and load writes it."""
    readers = setting.readers if setting.readers > 1 else suggested_readers(tables, setting, rates)
    if setting.free_connections is not None:
        readers = min(readers, setting.free_connections // 2)
    seconds = rates.seconds
    reading = billed = source = 0.0
    ranges, slowest = 0, ""
    problems = []
    for table in tables:
        weighed = _weighed(table, rates)
        if not table.is_large:
            reading += weighed * seconds["alone"]
            continue
        count = max(readers, math.ceil(table.rows / BATCH_ROWS))
        time = reading_of(table, readers, setting, rates)
        whole = time.seconds + weighed * seconds["count"]
        slowest = time.limit  # of each table the same: all rates follow the width of its rows
        own = weighed * max(seconds["stream"], seconds["reader"] / setting.cores("extract")) + count * RANGE
        source += weighed * (seconds["send"] + seconds["add_up_cpu"] + seconds["count"])
        waited = time.seconds * readers if time.limit == SOURCE else own  # for the source, which is billed as well
        reading, ranges, billed = reading + whole, ranges + count, billed + max(own, waited)
        problems += _problems(table, time, weighed, setting, rates)
    most = rows_of_a_load(setting, rates)
    if sum(table.rows for table in tables) > most:
        problems.append(f"load writes {most:,} rows in one invocation, and all that readers read is one batch")
    if reading > SAFE * setting.seconds_of("extract"):
        problems.append(f"reading takes {reading:,.0f} s, and one invocation of extract reads all")
    if readers < 2:
        problems.insert(0, "the source has fewer than four connections left")
    rows, weighed = sum(table.rows for table in tables), sum(_weighed(table, rates) for table in tables)
    load = START + RANGE + load_seconds(rows, setting, rates)
    uses = [
        _use("extract", setting, len(tables), reading, 1),
        _use("reader", setting, ranges, billed + readers * START, ranges),
        _use("load", setting, len(tables), load, ranges),
    ]
    if engine == LAMBDA:
        transform = (
            weighed
            * seconds["transform"]
            / setting.cores("transform")
            / min(workers_of(tables, setting, rates), ranges)
        )
        transform += START + RANGE
        spent = weighed * seconds["transform"] / setting.cores("transform") + ranges * RANGE
        uses.append(_use("transform", setting, ranges, spent, ranges))
        lines: tuple[Line, ...] = ()
    else:
        transform, lines = _spark(engine, weighed * seconds["spark"], ranges, setting, prices)
    total = reading + transform + load
    made = _estimate(engine, reading, transform, load, total, source, uses, prices, lines)
    return replace(made, problem="; ".join(problems), readers=readers, slowest=slowest)


def reading_of(table: TableSize, readers: int, setting: Setting, rates: Rates) -> ReadingTime:
    """How long ``readers`` read ``table``, with the start of their environments; without counting it before."""
    machines = Machines(max(readers, 1), setting.cores("extract"), setting.source_cores)
    return reading_time(table.rows / MILLION, reading_rates(table, rates), machines, START + RANGE)


def _problems(table: TableSize, time: ReadingTime, weighed: float, setting: Setting, rates: Rates) -> list[str]:
    """Why readers do not read ``table`` as one batch."""
    found = []
    most = min(READING_SECONDS, READING_SHARE * setting.seconds_of("extract"))
    if time.seconds > most:
        found.append(f"{table.name} takes more than the {most:.0f} s that extract waits for readers")
    if weighed * rates.seconds["add_up"] > STATEMENT_SECONDS:
        found.append(f"adding up {table.name} takes more than the {STATEMENT_SECONDS:.0f} s of a statement")
    return found


def _spark(engine: str, cpu: float, files: int, setting: Setting, prices: PriceList) -> tuple[float, tuple[Line, ...]]:
    """The seconds of a Spark job that takes ``cpu`` seconds of processors, and what it costs beside the functions."""
    writes, reads = _S3["spark"]
    requests = (
        _line("S3", "PUT, POST, LIST", "s3_writes", files * writes, prices),
        _line("S3", "GET, HEAD", "s3_reads", files * reads, prices),
    )
    start = SPARK_STARTS[engine]
    if engine == LOCAL_SPARK:
        return start + cpu / setting.own_cores, requests
    workers = min(max(2, math.ceil(cpu / SPARK_SECONDS / SPARK_CORES)), MOST_WORKERS)
    working = cpu / (workers * SPARK_CORES)
    hours = max(working, LEAST_BILLED) * (workers + 1) / 3600  # and the driver
    if engine == GLUE:
        return start + working, (*requests, _line("Glue", "DPU-hours", "glue_dpu_hours", hours, prices))
    return start + working, (
        *requests,
        _line("EMR Serverless", "vCPU-hours", "emr_vcpu_hours", hours * SPARK_CORES, prices),
        _line("EMR Serverless", "GB-hours", "emr_gb_hours", hours * SPARK_GB, prices),
    )


def _line(service: str, item: str, price: str, quantity: float, prices: PriceList) -> Line:
    found = prices[price]
    return Line(service, item, Decimal(str(round(quantity, 6))), found.unit, found.amount, ZERO)


def _use(function: str, setting: Setting, starts: float, seconds: float, files: int) -> FunctionUse:
    """What ``function`` uses, with requests for so many files. A reader is as extract."""
    writes, reads = _S3.get(function, (1, 1))
    return FunctionUse(
        name=function,
        memory=setting.memory_of("extract" if function == "reader" else function),
        is_arm=setting.is_arm,
        starts=Decimal(math.ceil(starts)),
        seconds=Decimal(str(round(seconds, 3))),
        s3_writes=Decimal(files * writes),
        s3_reads=Decimal(files * reads),
        log_bytes=Decimal(math.ceil(starts) * 2500),
    )


def _estimate(
    engine: str,
    reading: float,
    transform: float,
    load: float,
    total: float,
    source: float,
    uses: Sequence[FunctionUse],
    prices: PriceList,
    more: tuple[Line, ...],
) -> Estimate:
    lines = (*bill(Month(functions=tuple(uses)), prices), *more)
    requests = sum((each.quantity for each in lines if each.unit in _REQUESTS), ZERO)
    return Estimate(engine, reading, transform, load, total, source, int(requests), lines)


_REQUESTS = ("request", "PUT, POST or LIST", "GET or HEAD")  # units of prices.toml
