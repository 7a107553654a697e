"""The steps that a history is made of, as data: what a failing history prints can be pasted as a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.proof import composite, filtered
from tests.proof.changes import BAD, HERE, KEYS, VALUES, Change, Delete, Insert, Touch, Update
from tests.proof.specimens import TABLE

# How a change relates to its transaction.
PLAIN, SAVEPOINT, UNDONE, CAUGHT, SWALLOWED = "plain", "savepoint", "undone", "caught", "swallowed"
MAIN = 0  # the session in which every change is a transaction; the others hold theirs open
SESSIONS = 4


@dataclass(frozen=True)
class Do:
    """A change by a session.

    ``how``: ``plain``; under a ``savepoint``; under one that is rolled back (``undone``); in a PL/pgSQL block with an
    exception handler (``caught``), or one that is undone by its exception (``swallowed``).
    """

    change: Change
    session: int = MAIN
    how: str = PLAIN


@dataclass(frozen=True)
class Open:
    """A session begins a transaction, with an id older than those of all that is written after it."""

    session: int


@dataclass(frozen=True)
class End:
    """A session's transaction ends, if one is open."""

    session: int
    commit: bool = True


@dataclass(frozen=True)
class Alter:
    """The schema drifts: ``add`` a column, ``default`` one with a value, ``widen`` a text, ``retype`` a needed one.

    Or values change with no row written: ``swap`` the names of two columns, ``replace`` a column by one with a default,
    ``relabel`` an enum whose labels change places, ``generate`` columns by other expressions.
    """

    what: str


@dataclass(frozen=True)
class Truncate:
    """TRUNCATE of all payments, which no snapshot sees."""


@dataclass(frozen=True)
class Refill:
    """In one transaction, TRUNCATE of all payments and COPY of them, changed, with FREEZE."""


@dataclass(frozen=True)
class Secure:
    """A policy shows extract those rows of ``table`` whose key has this ``rest`` by 2; all rows where that is None."""

    table: str
    rest: int | None = None


@dataclass(frozen=True)
class Copy:
    """A copy of the source is made on its server; for that every session of the source ends."""


@dataclass(frozen=True)
class Restore:
    """The last copy of the source, if there is one, is renamed to its name, after it is dropped."""


@dataclass(frozen=True)
class Crash:
    """The function dies at its ``at``-th effect: before it, or just after.

    An effect is a put, of load a read of an object; with ``sql`` a statement.
    """

    at: int
    after: bool = False
    sql: bool = False


@dataclass(frozen=True)
class Extract:
    """A run of extract. ``during``: what happens between its snapshot and its manifest."""

    full: tuple[str, ...] = ()
    crash: Crash | None = None
    during: Do | End | Truncate | Overtake | None = None


@dataclass(frozen=True)
class Overtake:
    """Another run of extract, which is quicker."""


@dataclass(frozen=True)
class Transform:
    """An event reaches transform: of the ``back``-th batch from the last, once or repeated, or lost until now.

    ``again``: the batch is reprocessed, which must give the same.
    """

    back: int = 0
    again: bool = False
    crash: Crash | None = None


@dataclass(frozen=True)
class Load:
    """A run of load."""

    crash: Crash | None = None


@dataclass(frozen=True)
class Rebuild:
    """Load runs; then a second warehouse is filled from the lake alone, or on from where it is. Both are the same."""


@dataclass(frozen=True)
class SetClock:
    """The functions' clock is set back."""

    hours: int


Step = (
    Do
    | Open
    | End
    | Alter
    | Truncate
    | Refill
    | Secure
    | Copy
    | Restore
    | Extract
    | Transform
    | Load
    | Rebuild
    | SetClock
)
History = Sequence[Step]


def _pairs(columns: Mapping[str, Sequence[str | None]]) -> list[tuple[str, str | None]]:
    return [(column, value) for column, values in columns.items() for value in values]


_tables = st.sampled_from(list(KEYS))
_facts = st.sampled_from(["sales_order", "purchase_order", "payment", composite.ITEM])
_keys = st.integers(1, 4)


@st.composite
def _updates(draw: st.DrawFn) -> Update:
    table = draw(st.one_of(_facts, _tables))
    column = draw(st.sampled_from(list(VALUES[table])))
    key = draw(st.one_of(_keys, _keys, _keys, st.none()))
    return Update(table, key, column, draw(st.sampled_from(VALUES[table][column])))


_bad_updates = st.builds(
    lambda bad, key: Update(bad[0], key, *bad[1]),
    st.sampled_from([(table, bad) for table, columns in BAD.items() for bad in columns]),
    _keys,
)
_references = st.builds(Update, st.just("staff"), _keys, st.just("reports_to"), st.sampled_from([*HERE, None]))
_specimens = st.builds(
    lambda key, pair: Update(TABLE, key, *pair),
    _keys,
    st.sampled_from([(column, value) for column, values in VALUES[TABLE].items() for value in values]),
)
_composites = st.builds(
    lambda key, of: Update(of[0], key, *of[1:]),
    _keys,
    st.sampled_from([(table, *of) for table, columns in composite.VALUES.items() for of in _pairs(columns)]),
)
_filters = st.builds(lambda key, of: Update(of[0], key, *of[1:]), _keys, st.sampled_from(filtered.CHANGES))
_dimensions = st.sampled_from(
    ["address", "currency", "department", "design", "staff", "counterparty", composite.SECTION]
)

_changes: SearchStrategy[Change] = st.one_of(
    _bad_updates,
    _references,
    _specimens,
    _composites,
    _filters,
    st.builds(Insert, _dimensions, st.integers(3, 4), st.booleans()),
    _updates(),
    _updates(),
    _updates(),
    st.builds(Insert, _tables, _keys, st.just(False)),
    st.builds(Insert, _facts, _keys, st.booleans()),
    st.builds(Delete, _facts, _keys),
    st.builds(Delete, _tables, _keys),
    st.builds(Touch, _tables, _keys),
)
_hows = st.sampled_from([PLAIN, PLAIN, PLAIN, SAVEPOINT, UNDONE, CAUGHT, SWALLOWED])
_dos = st.builds(Do, _changes, st.sampled_from([MAIN, MAIN, MAIN, 1, 2, 3]), _hows)
_others = st.integers(1, SESSIONS - 1)
_ends = st.builds(End, _others, st.sampled_from([True, True, False]))
_business: SearchStrategy[Step] = st.one_of(
    _dos,
    _dos,
    _dos,
    _dos,
    _dos,
    st.builds(Open, _others),
    _ends,
    _ends,
    st.sampled_from(
        [
            *map(Alter, ("add", "default", "widen", "retype", "swap", "replace", "relabel", "generate")),
            *(Secure(table, rest) for table in ("payment", "design", "specimen", "item") for rest in (0, 1, None)),
            *(Truncate(), Refill(), SetClock(1)),
        ]
    ),
)
_restores = st.builds(  # rare, as a copy takes as long as half a history
    lambda rare, changes: [Copy(), *changes, Extract(), Transform(), Load(), Restore()] if not rare else [],
    st.integers(0, 5),
    st.lists(_dos, min_size=1, max_size=3),
)
_put_crashes = st.builds(Crash, st.integers(1, 12), st.booleans())
_sql_crashes = st.builds(Crash, st.integers(1, 150), st.booleans(), st.just(True))
_during = st.one_of(_dos, _dos, _ends, st.sampled_from([Overtake(), Overtake(), Truncate()]))
_full = st.one_of(st.just(tuple(KEYS)), st.tuples(_tables))
_runs: SearchStrategy[list[Step]] = st.one_of(
    st.just([Extract(), Transform(), Load()]),
    st.just([Extract(), Transform(), Load()]),
    st.builds(lambda during: [Extract(during=during), Transform(), Load()], _during),
    st.builds(lambda during: [Extract(during=during)], _during),
    st.builds(lambda crash: [Extract(crash=crash)], st.one_of(_put_crashes, _sql_crashes)),
    st.builds(lambda full: [Extract(full=full), Transform()], _full),
    st.just([Extract()]),
    st.just([Extract(), Extract()]),  # no transaction in between
    st.builds(lambda end: [Extract(), end, Extract()], _ends),  # no new one
    st.builds(lambda back, again: [Transform(back, again), Load()], st.integers(0, 3), st.booleans()),
    st.builds(lambda crash: [Extract(), Transform(crash=crash), Load()], _put_crashes),
    st.builds(lambda crash: [Extract(), Transform(), Load(crash)], st.one_of(_put_crashes, _sql_crashes)),
    st.just([Extract(), Transform(), Rebuild()]),
    st.builds(lambda change: [change, Extract(during=Overtake()), Transform(), Load()], _dos),
    st.just([]),
    _restores,
)


def histories() -> SearchStrategy[list[Step]]:
    """Some business, then a run of the pipeline or a part of one, a few times over."""
    rounds = st.tuples(st.lists(_business, max_size=10), _runs).map(lambda pair: [*pair[0], *pair[1]])
    return st.lists(rounds, min_size=1, max_size=10).map(lambda parts: [step for part in parts for step in part])
