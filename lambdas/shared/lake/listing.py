"""Lists the objects of a bucket: every page to the end, whatever S3 puts on it. Needs no Arrow, so commands use it too.

S3 may answer with fewer keys than were asked for, even with none, while more follow: only ``IsTruncated`` says where a
listing ends. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

Objects of others may be anywhere in the bucket. Where manifests are looked for, the keys between two possible manifests
are passed over, however many they are: one request for each such place on which a page ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import LakeError
from .object_keys import (
    LAST_NUMBER,
    MANIFESTS,
    REVISIONS,
    BatchListing,
    ObjectInfo,
    batch_of,
    manifest_key,
    next_batch,
    next_revised_batch,
    revision_of,
    revisions_of,
)

PAGE = 1000  # keys: the most that S3 lists in one response


@dataclass(frozen=True)
class BucketListing:
    """The listings of ``bucket``. ``list_objects``: boto3's ``list_objects_v2``, or what answers as it does.

    Every method raises LakeError where S3's answers leave open what the bucket has, and what ``list_objects`` raises.
    """

    list_objects: Callable[..., Mapping[str, Any]]
    bucket: str

    def objects(
        self, prefix: str, after: str = "", *, skip: Callable[[str], str | None] = lambda key: key, limit: int = PAGE
    ) -> Iterator[ObjectInfo]:
        """The objects whose keys begin with ``prefix`` and come after ``after``, in the order of their keys.

        ``skip(key)``: where the listing goes on after a page that ends with ``key``, as a text that is not before
        ``key``; None: nothing that matters follows. ``limit``: keys on the first page; the others are full. A request
        per full page, and one per shorter page that S3 chooses to send.
        """
        position = {"StartAfter": after}
        while True:
            answer = self._page(prefix, position, limit)
            found = [entry for entry in answer.get("Contents", ()) if entry["Key"].startswith(prefix)]
            for entry in found:
                self._check_order(after, entry["Key"])
                after = entry["Key"]
                yield ObjectInfo(after, entry["LastModified"])
            if not answer.get("IsTruncated"):
                return
            if found:
                start = skip(after)
                if start is None:
                    return
                after, position = start, {"StartAfter": start}
            else:
                position = self._next(prefix, answer, position)
            limit = PAGE

    def folders(self, below: str = "") -> list[str]:
        """The prefixes directly below ``below``, each with its slash. A request per thousand of what is there."""
        found: dict[str, None] = {}
        position: dict[str, str] = {}
        while True:
            answer = self._page(below, position, PAGE, Delimiter="/")
            found |= dict.fromkeys(entry["Prefix"] for entry in answer.get("CommonPrefixes", ()))
            if not answer.get("IsTruncated"):
                return list(found)
            position = self._next(below, answer, position)

    def last_batch(self) -> int | None:
        """The highest number of a batch; None when there is no batch.

        Keys sort by number, and S3 lists in ascending order only: a search that doubles its steps, and then halves
        them, finds the end. One request for up to a thousand batches; 2 log2(batches / 1000) + 3 for more. Objects of
        others that are named like manifests of later batches, as copies are, cost one more per thousand.
        """
        start = list(itertools.islice(self.batches(0), PAGE))
        if len(start) < PAGE:
            return start[-1].number if start else None
        last, step = start[-1].number, PAGE
        while found := next(self.batches(last + step, limit=1), None):
            last, step = found.number, step * 2
        end = last + step  # no batch has a higher number
        while end - last > PAGE:
            middle = (last + end) // 2
            found = next(self.batches(middle, end, limit=1), None)
            last, end = (found.number, end) if found else (last, middle)
        return max((found.number for found in self.batches(last, end)), default=last)

    def batches(self, after: int, until: int = LAST_NUMBER, *, limit: int = PAGE) -> Iterator[BatchListing]:
        """The batches with a higher number than ``after``, up to ``until``, in order; ``limit``: see ``objects``."""
        until = min(until, LAST_NUMBER)
        if after >= until:
            return

        def skip(key: str) -> str | None:
            number = next_batch(key)
            return max(key, manifest_key(number)[:-1]) if number is not None and number <= until else None

        for found in self.objects(MANIFESTS, manifest_key(after), skip=skip, limit=limit):
            if found.key > manifest_key(until):
                return
            number = batch_of(found.key)
            if number is not None:
                yield BatchListing(number, found.written)

    def revisions(self, after: int) -> Iterator[tuple[int, int]]:
        """Batch and revision of every later revision of the batches with a higher number than ``after``."""

        def skip(key: str) -> str | None:
            number = next_revised_batch(key)
            return None if number is None else max(key, revisions_of(number)[:-1])

        for found in self.objects(REVISIONS, revisions_of(after + 1), skip=skip):
            revision = revision_of(found.key)
            if revision is not None and revision[0] > after:
                yield revision

    def _page(self, prefix: str, position: Mapping[str, str], limit: int, **more: str) -> Mapping[str, Any]:
        return self.list_objects(Bucket=self.bucket, Prefix=prefix, MaxKeys=limit, **position, **more)

    def _next(self, prefix: str, answer: Mapping[str, Any], position: Mapping[str, str]) -> dict[str, str]:
        """The position after a page by its token, beside which S3 ignores StartAfter.

        Raises LakeError where there is no token, or still the same.
        """
        token = answer.get("NextContinuationToken")
        if not token or token == position.get("ContinuationToken"):
            raise LakeError(
                f"S3 ended its list of s3://{self.bucket}/{prefix} with IsTruncated, but gave no way to go on: what "
                "follows is unknown. Nothing was written. If it stays so, this S3 does not list as AWS's does."
            )
        return {**position, "ContinuationToken": str(token)}

    def _check_order(self, before: str, key: str) -> None:
        if key <= before:
            raise LakeError(
                f"S3 listed s3://{self.bucket}/{key} after {before}, which is not the order of the keys: the last "
                "batch cannot be found. Nothing was written. A lake needs a general purpose bucket; a directory bucket "
                "(S3 Express One Zone) does not list in order."
            )
