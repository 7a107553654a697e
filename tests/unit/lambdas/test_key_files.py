"""Files of sorted keys, compared with sets: what they have after each change, and which of them are used again."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import key_files
from lambda_toolkit.pipeline.lambdas.extract.capture.key_files import (
    KeyDiff,
    KeyFileReader,
    KeyWriter,
    MergedKeyFiles,
    OrderedComparison,
    keys_in,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import DataFile, KeyFile
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import ParquetPart, batches
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from tests.support.memory_s3 import MemoryS3

SCHEMA = pa.schema([("k", pa.int32())])
FULL = 4  # rows of a file


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setattr(key_files, "KEY_FILE_ROWS", FULL)
    s3 = MemoryS3()
    s3.create_bucket("lake")
    return Lake(s3, "lake")


def table(keys: Any) -> pa.Table:
    return pa.table([list(keys)], schema=SCHEMA)


def stored(lake: Lake, file: KeyFile | DataFile) -> list[int]:
    found: list[int] = lake.table(file.key)["k"].to_pylist()
    return found


def compare(lake: Lake, files: list[KeyFile], present: list[int], chunk: int, number: int) -> tuple[Any, list[int]]:
    """The files of the present keys, which come in chunks of so many, and the keys that were deleted."""
    with ParquetPart(SCHEMA) as part:
        diff = KeyDiff(table([]), None, part, in_order=True)
        writer = KeyWriter(lake, SCHEMA, f"{number}.keys", files)
        comparison = OrderedComparison(MergedKeyFiles(lake, files, SCHEMA), writer, diff, SCHEMA)
        for start in range(0, len(present), chunk):
            comparison.add(table(present[start : start + chunk]))
        found = comparison.finish()
        part.finish()
        deleted = [key for rows in batches(part.file) for key in rows["k"].to_pylist()] if part.rows else []
    return found, deleted


def used_again(lake: Lake, files: list[KeyFile], present: list[int]) -> list[KeyFile]:
    """The files in whose range of keys nothing changed; that of the last has no end, unless it is full."""
    found, begin = [], float("-inf")
    for place, file in enumerate(files):
        is_open = place == len(files) - 1 and file.rows < FULL
        end = float("inf") if is_open else float(file.last_key)
        if [key for key in present if begin < key <= end] == stored(lake, file):
            found.append(file)
        begin = end
    return found


@pytest.mark.parametrize("seed", range(4))
def test_files_have_the_present_keys_and_few_are_new(bucket: Lake, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    files: list[KeyFile] = []
    known: set[int] = set()
    for number in range(25):
        kept = {key for key in known if draw.random() > draw.choice((0, 0, 0.1, 0.6, 1))}
        new = (
            draw.sample(range(40), draw.choice((0, 0, 1, 3, 9))) if draw.random() > 0.2 else range(40, 40 + number % 7)
        )
        present = sorted(kept | set(new))
        again = used_again(bucket, files, present)
        found, deleted = compare(bucket, files, present, draw.choice((1, 2, 5, 99)), number)
        assert [key for file in found for key in stored(bucket, file)] == present
        assert deleted == sorted(known - set(present))
        assert [file for file in found if file in files] == again
        for file in found:
            assert (file.rows, file.last_key) == (len(stored(bucket, file)), str(stored(bucket, file)[-1]))
            assert 0 < file.rows <= FULL and file.generation == 0
        own = [file.key for file in found if file not in files]
        assert own == [f"{number}.keys_{place}.parquet" for place in range(len(own))]
        files, known = found, set(present)


def test_new_keys_fill_files_in_their_order(bucket: Lake) -> None:
    files, _ = compare(bucket, [], [*range(9)], 99, 0)
    assert [file.rows for file in files] == [4, 4, 1]
    full, _ = compare(bucket, files[:2], [*range(9)], 99, 1)
    assert full[:2] == files[:2], "beyond a full last file begins another"
    assert [stored(bucket, file) for file in full[2:]] == [[8]]


def test_keys_are_read_up_to_a_boundary(bucket: Lake) -> None:
    """Of each generation in the order of its files; a column that a file lacks is NULL."""
    files, _ = compare(bucket, [], [0, 1, 2, 3, 4, 5, 9], 99, 0)
    other = KeyWriter(bucket, SCHEMA, "other", generation=1)
    other.write(table([1, 7]), changed=True)
    other.next_range()
    assert [(file.rows, file.generation) for file in other.files] == [(2, 1)]
    reader = KeyFileReader(bucket, files, SCHEMA)
    ends = [2, 4, 4, 8, None]
    taken = [reader.take(None if end is None else (pa.scalar(end, pa.int32()),))["k"].to_pylist() for end in ends]
    assert taken == [[0, 1, 2], [3, 4], [], [5], [9]]
    merged = MergedKeyFiles(bucket, [*other.files, *files], SCHEMA)
    assert [merged.take((pa.scalar(end, pa.int32()),))["k"].to_pylist() for end in (1, 7)] == [
        [0, 1, 1],
        [2, 3, 4, 5, 7],
    ]
    assert merged.take(None)["k"].to_pylist() == [9]
    assert MergedKeyFiles(bucket, [], SCHEMA).take(None).schema == SCHEMA
    wider = pa.schema([("k", pa.int64()), ("h", pa.string())])
    assert KeyFileReader(bucket, files[1:], wider).take(None).to_pylist() == [
        {"k": key, "h": None} for key in (4, 5, 9)
    ]


def test_keys_of_files_are_read_without_those_that_are_none(bucket: Lake) -> None:
    with ParquetPart(pa.schema([("x", pa.string()), ("k", pa.int16())])) as part:
        part.write(pa.table({"x": ["a", "b", "c"], "k": pa.array([3, None, 1], pa.int16())}))
        part.finish()
        bucket.upload("changes", part.file)
    found = keys_in(bucket, [DataFile("changes", 3), DataFile("changes", 3)], SCHEMA)
    assert (found["k"].to_pylist(), found.schema) == ([3, 1, 3, 1], SCHEMA)
    assert keys_in(bucket, [], SCHEMA).schema == SCHEMA
