"""What a transaction needs of the lake: files that are read before it begins, and the history of some keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse import read_ahead
from lambda_toolkit.pipeline.lambdas.load.warehouse.read_ahead import MissingHistoryError, NeededHistory, ReadAhead
from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import DataFile
from tests.support.sample_star import COMPOSITE, DECLARED, REFERRING, Batch, Row, write
from tests.support.written_lake import WrittenLake

ORDERS = DECLARED.warehouse["fact_order"]


class Noted(WrittenLake):
    """A lake that notes what is downloaded, and what is streamed."""

    def __init__(self) -> None:
        super().__init__()
        self.downloaded: list[str] = []
        self.streamed: list[str] = []

    def download(self, key: str, to: Any) -> Any:
        self.downloaded.append(key)
        return super().download(key, to)

    def iter_tables(self, key: str, columns: list[str] | None = None) -> Any:
        self.streamed.append(key)
        return super().iter_tables(key, columns)

    def store(self, *ids: int) -> DataFile:
        rows = pa.table({"id": list(ids), "more": [str(number) for number in ids]})
        return DataFile(self._store(f"data/t/{len(self._client.objects)}", rows), len(ids))


@pytest.fixture
def lake() -> Noted:
    return Noted()


def ids(parts: Iterable[pa.Table], name: str = "id") -> list[Any]:
    return [value for part in parts for value in part[name].to_pylist()]


def test_files_are_read_before_they_are_used(lake: Noted) -> None:
    """As often as they are used, and of their columns those that are asked for."""
    one, other = lake.store(1, 2), lake.store(3)
    with ReadAhead(lake, [one.key, other.key]) as reads:
        assert lake.downloaded == [one.key, other.key]
        lake._client.objects.clear()
        for _ in range(2):
            assert ids(reads.iter_files([other, one])) == [3, 1, 2]
        assert [part.column_names for part in reads.iter_files([one], ["more"])] == [["more"]]
        assert [part.column_names for part in reads.iter_tables(one.key)] == [["id", "more"]]
        files = list(reads._files.values())
    assert all(file.closed for file in files)
    assert lake.streamed == []


@pytest.mark.parametrize(("more", "count"), [(0, 1), (1, 2), (10**6, 3)])
def test_files_beyond_the_limit_are_streamed(
    lake: Noted, monkeypatch: pytest.MonkeyPatch, more: int, count: int
) -> None:
    files = [lake.store(1), lake.store(2), lake.store(3)]
    monkeypatch.setattr(read_ahead, "AHEAD", len(lake._client.objects[files[0].key]) + more)
    with ReadAhead(lake, [file.key for file in files]) as reads:
        assert lake.downloaded == [file.key for file in files[:count]]
        assert ids(reads.iter_files(files, ["id"])) == [1, 2, 3]
    assert lake.streamed == [file.key for file in files[count:]]


@pytest.fixture
def history(lake: Noted) -> Noted:
    """Seven batches of orders; the first, third, fourth and sixth have a second revision."""
    for number in range(1, 8):
        write(lake, number, Batch({key: Row((10 * number + key, 1)) for key in (1, 2, 3)} | {4: None, 5: None}))
    for number in (1, 3, 4, 6):
        write(lake, number, Batch({1: Row((100 * number, 1)), 5: None}), revision=2)
    write(lake, 8, Batch({}, {1: Row("a product")}))
    write(lake, 9, Batch({1: Row((90, 1))}))
    return lake


def needed(*keys: str, first: int = 3, last: int = 5, batches: tuple[int, ...] = (4, 5)) -> NeededHistory:
    return NeededHistory(ORDERS, keys, first, last, batches)


def read(reads: ReadAhead, what: NeededHistory) -> tuple[list[Any], list[Any]]:
    """The batch, key and amount of each row; batch and key of each deletion."""
    found = reads.attempt(lambda: reads.history(what))
    rows = [
        (batch, *row.values()) for batch, part in found.rows for row in part.select(["order_id", "amount"]).to_pylist()
    ]
    return [tuple(map(int, row)) for row in rows], [
        (batch, key) for batch, part in found.deletions for key in ids([part], "order_id")
    ]


@pytest.mark.parametrize("small", [0, 2, 10**6], ids=["alone", "mixed", "together"])
def test_history_is_that_of_the_keys_in_the_newest_revisions(
    history: Noted, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    """From the first batch to the last. A batch with a second revision counts, whatever the ledger says."""
    monkeypatch.setattr(read_ahead, "SMALL", small)
    monkeypatch.setattr(read_ahead, "THREADS", 2)
    with ReadAhead(history, []) as reads:
        rows, deletions = read(reads, needed("1", "3", "5"))
        assert rows == [(3, 1, 300), (4, 1, 400), (5, 1, 51), (5, 3, 53)]
        assert deletions == [(3, 5), (4, 5), (5, 5)]
        rows, deletions = read(reads, needed("2", "4", first=2, last=7, batches=(2, 5, 7)))
        assert rows == [(2, 2, 22), (5, 2, 52), (7, 2, 72)]
        assert deletions == [(2, 4), (5, 4), (7, 4)]
        assert read(reads, needed("1", first=8, last=9, batches=(8, 9))) == ([(9, 1, 90)], [])
        files = [pieces._file for each in reads._history.values() for pieces in (each.rows, each.deletions)]
    assert all(file.closed for file in files)


def test_history_is_read_once_and_known_by_its_keys_and_batches(history: Noted) -> None:
    with ReadAhead(history, []) as reads:
        first = read(reads, needed("1", "2"))
        history._client.objects.clear()
        assert read(reads, needed("1", "2")) == first
        for other in (needed("1"), needed("1", "2", first=4), needed("1", "2", last=4)):
            with pytest.raises(MissingHistoryError) as error:
                reads.history(other)
            assert error.value.needed == (other,)


def test_history_of_keys_of_several_columns_and_types(lake: Noted) -> None:
    for star, table in (
        (COMPOSITE, COMPOSITE.declared.warehouse["fact_order"]),
        (None, REFERRING.warehouse["fact_order"]),
    ):
        lake = Noted()
        batch = Batch({key: Row((key, 1)) for key in (1, 2, 3)})
        write(lake, 1, batch, star=star) if star else write(lake, 1, batch)
        keys = tuple(sorted(star.text(key) for key in (1, 3))) if star else ("1", "3")
        with ReadAhead(lake, []) as reads:
            found = reads.attempt(lambda: reads.history(NeededHistory(table, keys, 1, 1, (1,))))  # noqa: B023
            assert sorted(ids((part for _, part in found.rows), "amount")) == [1, 3]


def test_transaction_is_repeated_until_it_lacks_nothing(history: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that it lacked; but not for ever."""
    monkeypatch.setattr(read_ahead, "_MOST_ATTEMPTS", 3)
    with ReadAhead(history, []) as reads:
        lacking = [[needed("1"), needed("2")], [needed("3")]]

        def attempt() -> str:
            if lacking:
                raise MissingHistoryError(lacking.pop(0))
            return "done"

        assert reads.attempt(attempt) == "done"
        for what in (needed("1"), needed("2"), needed("3")):
            reads.history(what)
        attempts = []

        def never() -> None:
            attempts.append(1)
            raise MissingHistoryError([needed(str(len(attempts)))])

        with pytest.raises(WarehouseError, match="changed 3 times"):
            reads.attempt(never)
        assert len(attempts) == 3
