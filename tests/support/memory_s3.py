# ruff: noqa: N803  # the names are those of the S3 API
"""S3 in memory, versions kept, as far as the pipeline uses it: a hundred times faster than moto.

``test_memory_s3`` compares the answers of both.
"""

from __future__ import annotations

import io
import itertools
import random
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

_HIGHEST = "\U0010ffff"


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while block := self.read(size):
            yield block


class _Bucket:
    def __init__(self) -> None:
        self.keys: list[str] = []  # sorted
        self.versions: dict[str, list[bytes]] = {}
        self.written: dict[str, datetime] = {}
        self.deleted: list[str] = []

    def put(self, key: str, content: bytes) -> None:
        if key not in self.written:
            insort(self.keys, key)
        self.versions.setdefault(key, []).append(content)
        self.written[key] = datetime.now(UTC)


class MemoryS3:
    """The calls of a boto3 client that the pipeline and its proofs make."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self) -> None:
        self.short_pages: random.Random | None = None
        """Chooses how many keys a page of a listing has; None: as many as fit."""
        self.page = 1000  # keys: the most that a page has
        self.listings = 0  # requests that list objects
        self._buckets: dict[str, _Bucket] = {}
        self._one_at_a_time = threading.Lock()

    def create_bucket(self, Bucket: str, **_: Any) -> None:
        self._buckets[Bucket] = _Bucket()

    def put_bucket_versioning(self, **_: Any) -> None:
        """Versions are always kept."""

    def forget(self, bucket: str) -> None:
        """Frees a bucket and all that is in it."""
        self._buckets.pop(bucket, None)

    def put_object(self, Bucket: str, Key: str, Body: Any, IfNoneMatch: str | None = None, **_: Any) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        with self._one_at_a_time:
            if IfNoneMatch == "*" and Key in bucket.written:
                raise _error("PreconditionFailed", "PutObject", 412)
            bucket.put(Key, Body if isinstance(Body, bytes) else Body.read())
        return {}

    def upload_fileobj(self, file: Any, bucket: str, key: str, **_: Any) -> None:
        with self._one_at_a_time:
            self._buckets[bucket].put(key, file.read())

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        if Key not in bucket.written:
            raise _error("NoSuchKey", "GetObject", 404)
        return {"Body": _Body(bucket.versions[Key][-1]), "LastModified": bucket.written[Key]}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        if Key not in bucket.written:
            raise _error("404", "HeadObject", 404)
        return {"ContentLength": len(bucket.versions[Key][-1]), "LastModified": bucket.written[Key]}

    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        if bucket.written.pop(Key, None):
            bucket.keys.remove(Key)
        bucket.deleted.append(Key)
        return {}

    def list_objects_v2(
        self,
        Bucket: str,
        Prefix: str = "",
        StartAfter: str = "",
        MaxKeys: int = 1000,
        ContinuationToken: str = "",
        Delimiter: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        self.listings += 1
        bucket = self._buckets[Bucket]
        after = ContinuationToken.partition(" ")[2] if ContinuationToken else StartAfter
        first = max(bisect_right(bucket.keys, after), bisect_left(bucket.keys, Prefix))
        keys = bucket.keys[first : bisect_right(bucket.keys, f"{Prefix}{_HIGHEST}")]
        found = _rolled_up(keys, len(Prefix), Delimiter) if Delimiter else [(key, key) for key in keys]
        page = found[: self._length(min(MaxKeys, self.page), len(found))]
        answer: dict[str, Any] = {"KeyCount": len(page), "IsTruncated": len(page) < len(found)}
        if answer["IsTruncated"] or self._ends_with_nothing():
            last = page[-1][-1] if page else after
            answer |= {"IsTruncated": True, "NextContinuationToken": f"{self.listings} {last}"}
        contents = [
            {"Key": name, "LastModified": bucket.written[name], "Size": len(bucket.versions[name][-1])}
            for name, _last in page
            if name in bucket.written
        ]
        folders = [{"Prefix": name} for name, _last in page if name not in bucket.written]
        return {**answer, **_set(Contents=contents, CommonPrefixes=folders)}

    def _length(self, limit: int, available: int) -> int:
        """How many keys a page has: as many as were asked for, or with ``short_pages`` fewer, and none at times."""
        if self.short_pages is None or not self.short_pages.randrange(3):
            return limit
        return self.short_pages.randint(0, min(limit, available))

    def _ends_with_nothing(self) -> bool:
        """Whether the last keys are followed by a page without any."""
        return self.short_pages is not None and not self.short_pages.randrange(4)

    def list_object_versions(self, Bucket: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        versions = [{"Key": key} for key, contents in sorted(bucket.versions.items()) for _ in contents]
        return {"Versions": versions, "DeleteMarkers": [{"Key": key} for key in bucket.deleted]}

    def get_paginator(self, operation: str) -> Any:
        """Every page of an operation."""
        return SimpleNamespace(paginate=lambda **request: _pages(getattr(self, operation), request))


def _pages(list_page: Callable[..., dict[str, Any]], request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    page = list_page(**request)
    yield page
    while page.get("IsTruncated"):
        page = list_page(**request, ContinuationToken=page["NextContinuationToken"])
        yield page


def _rolled_up(keys: list[str], start: int, delimiter: str) -> list[tuple[str, str]]:
    """What a listing shows of ``keys``: each key or common prefix, with the last key that it covers."""

    def shown(key: str) -> str:
        end = key.find(delimiter, start)
        return key if end < 0 else key[: end + len(delimiter)]

    return [(name, list(covered)[-1]) for name, covered in itertools.groupby(keys, shown)]


def _set(**found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """As S3 answers: what is empty is absent."""
    return {name: entries for name, entries in found.items() if entries}


def _error(code: str, operation: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)
