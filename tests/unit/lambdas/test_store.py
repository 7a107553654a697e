"""The lake: keys, listing, conditional puts, Parquet in parts, and manifests that survive a round trip."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake import object_keys
from lambda_toolkit.pipeline.lambdas.shared.lake import store as lake_module
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    BackfillCursor,
    DataFile,
    IngestionManifest,
    KeyFile,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    SourceIdentity,
    TableFiles,
    ingestion_manifest,
    processed_manifest,
    to_json,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import (
    batch_folder,
    batch_of,
    manifest_key,
    processed_file_of,
    revision_key,
    revision_of,
    run_of,
    run_prefix,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import ParquetPart
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake

ROWS = pa.table({"id": pa.array(range(1000), pa.int32()), "text": [str(i % 7) for i in range(1000)]})


def test_manifest_keys_sort_by_number_and_read_back():
    assert manifest_key(7) == "manifests/batch-000000000007.json"
    assert batch_of(manifest_key(123)) == 123
    assert batch_of(run_prefix("staff", 1, "ab") + ".changes.parquet") is None
    assert manifest_key(99) < manifest_key(100)


def test_every_name_of_a_table_is_one_folder():
    names = ("staff", "Order Details", "größe", "a/b", "a%2Fb", "..", ".", "a\nb", "a'b", "a.b")
    folders = [batch_folder(name, 1) for name in names]
    assert folders[:3] == [f"data/{name}/batch=000000000001/" for name in names[:3]]
    assert len(set(folders)) == len(names)
    for name in names:
        assert run_of(f"{run_prefix(name, 1, 'ab')}.changes.parquet") == (1, "ab"), name
        assert processed_file_of(f"{batch_folder(name, 1)}01234567.parquet") == (1, batch_folder(name, 1)[:-19]), name


def test_newest_revision_of_a_batch_is_found(lake):
    """The newest revision of a batch is found among those of its neighbours."""
    assert lake.newest_revision(7) == manifest_key(7)
    for batch, revision in ((6, 2), (7, 2), (7, 3), (8, 2), (8, 12345)):
        lake.put_if_absent(revision_key(batch, revision), b"{}")
    lake.put_if_absent(f"{revision_key(7, 4)}.bak", b"{}")
    assert lake.newest_revision(7) == "revisions/batch-000000000007-0003.json"
    assert [lake.newest_revision(batch) for batch in (7, 8, 9)] == [
        revision_key(7, 3),
        revision_key(8, 12345),
        manifest_key(9),
    ]


def test_revisions_read_back_from_their_keys():
    assert [revision_of(revision_key(7, revision)) for revision in (1, 2, 9999, 10000)] == [
        (7, 1),
        (7, 2),
        (7, 9999),
        (7, 10000),
    ]
    assert revision_of("revisions/batch-000000000007-0002.json.bak") is None
    assert batch_of(revision_key(7, 2)) is None


def test_an_empty_lake_has_no_batch(lake):
    assert lake.last_batch() is None
    assert list(lake.batches_after(0)) == []


def test_what_is_there_is_never_overwritten(lake):
    assert lake.put_if_absent("k", b"first")
    assert not lake.put_if_absent("k", b"second")
    assert lake.get("k") == b"first"
    assert lake.get_optional("k") == b"first"
    assert lake.get_optional("other") is None


class Conflicting:
    """An S3 that answers the first ``times`` puts with a conflict: another put of the key is under way, and fails."""

    def __init__(self, client, times):
        self.exceptions, self._client, self.left = client.exceptions, client, times

    def put_object(self, **call):
        if self.left:
            self.left -= 1
            call["Body"].read(1)
            raise self.exceptions.ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
        return self._client.put_object(**call)


def test_a_put_that_meets_another_of_the_same_key_is_tried_again(lake):
    pauses = []
    assert Lake(Conflicting(lake._client, 2), "lake", pauses.append).put_if_absent("k", b"whole")
    assert (lake.get("k"), len(pauses)) == (b"whole", 2)
    assert not Lake(Conflicting(lake._client, 2), "lake", pauses.append).put_if_absent("k", b"second")


def test_failed_put_is_an_error_not_an_existing_file(lake):
    """A put that never gets through is an error and not a file that is there."""
    pauses = []
    with ParquetPart(ROWS.schema) as part:
        part.write(ROWS)
        with pytest.raises(lake._client.exceptions.ClientError, match="ConditionalRequestConflict"):
            Lake(Conflicting(lake._client, 99), "lake", pauses.append).put_table("staff/batch=1/", part)
    assert len(pauses) == 6 and pauses == sorted(pauses) and sum(pauses) == pytest.approx(6.3), "each is longer"


def test_a_missing_object_is_named(lake):
    with pytest.raises(LakeError, match="s3://lake/nothing"):
        lake.get("nothing")
    with pytest.raises(LakeError, match="s3://lake/nothing"):
        lake.table("nothing")


def test_other_refusals_of_s3_are_not_taken_for_absence(lake):
    stranger = Lake(lake._client, "no-such-bucket")
    for call in (
        lambda: stranger.get("k"),
        lambda: stranger.get_optional("k"),
        lambda: stranger.put_if_absent("k", b""),
    ):
        with pytest.raises(lake._client.exceptions.NoSuchBucket):
            call()


class Refusing:
    """A client whose every call is refused with a code."""

    def __init__(self, client, code):
        self.exceptions = client.exceptions
        self._code = code

    def __getattr__(self, name):
        def call(**_):
            raise self.exceptions.ClientError({"Error": {"Code": self._code}} if self._code else {}, name)

        return call


@pytest.mark.parametrize("code", ["NoSuchKey", "404", "NotFound"])
def test_absence_has_several_codes(lake, code):
    """A HEAD has no body, and so no code but that of HTTP; which one, depends on botocore's release."""
    refused = Lake(Refusing(lake._client, code), "lake")
    assert (refused.exists("k"), refused.get_optional("k")) == (False, None)
    with pytest.raises(LakeError, match="s3://lake/k does not exist"):
        refused.get("k")


@pytest.mark.parametrize("code", ["AccessDenied", "403", ""])
def test_refusal_with_another_code_is_raised(lake, code):
    refused = Lake(Refusing(lake._client, code), "lake", lambda _: pytest.fail("waits"))
    for call in (refused.exists, refused.get_optional, refused.get, lambda key: refused.put_if_absent(key, b"")):
        with pytest.raises(lake._client.exceptions.ClientError):
            call("k")


@pytest.mark.parametrize("single_put", [10**9, 0])
def test_parquet_goes_up_and_comes_back(lake, monkeypatch, single_put):
    monkeypatch.setattr(lake_module, "SINGLE_PUT", single_put)
    with ParquetPart(ROWS.schema) as part:
        part.write(ROWS.slice(0, 600))
        part.write(ROWS.slice(600).to_batches()[0])
        part.write(ROWS.slice(0, 0))
        assert part.rows == 1000
        key = lake.put_table("staff/batch=1/", part)
    assert key.startswith("staff/batch=1/")
    assert lake.table(key).equals(ROWS)
    assert lake.table(key, ["text"]).column_names == ["text"]


def test_the_same_rows_give_the_same_bytes_and_key(lake):
    digests = set()
    for _ in range(2):
        with ParquetPart(ROWS.schema) as part:
            part.write(ROWS)
            digests.add(part.finish())
    assert len(digests) == 1


def test_manifests_read_back_as_they_were():
    keys = (KeyFile("k", 3, "9"),)
    files = TableFiles({"id": "integer"}, ("id",), DataFile("a", 1), None, DataFile("d", 2), keys, None)
    source = SourceIdentity("1", 1, "totesys", 5, 700, 5, 5, 5)
    ingested = IngestionManifest(2, 1, "run", "changes", "2024-01-01T00:00:00+00:00", source, {"staff": files})
    assert ingestion_manifest(to_json(ingested), "m") == ingested
    covered = dataclasses.replace(
        files, keys_since_compare=(DataFile("s", 1),), compared_at="2024", backfill=BackfillCursor("9", None)
    )
    ingested = dataclasses.replace(ingested, tables={"staff": covered})
    assert ingestion_manifest(to_json(ingested), "m") == ingested
    processed = ProcessedManifest(
        2,
        "m",
        "2024",
        {"dim": ProcessedTable(1, "x", DataFile("g", 1)), "b": ProcessedTable(1, "y")},
        {"dim": RejectedFile("q", 4, 3)},
        revision=2,
    )
    assert processed_manifest(to_json(processed), "m") == processed


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"format": 2}', b'{"format": 1}', b'{"format": 1, "x": 1}'])
def test_what_is_no_manifest_is_refused_by_name(content):
    for read in (ingestion_manifest, processed_manifest):
        with pytest.raises(LakeError, match="manifests/x"):
            read(content, "manifests/x")


def test_every_key_has_the_form_that_is_stored():
    """Athena, Spark and older releases read by it."""
    assert [
        batch_folder("staff", 7, kind) for kind in (object_keys.DATA, object_keys.DELETED, object_keys.REJECTED)
    ] == [
        *("data/staff/batch=000000000007/", "deleted/staff/batch=000000000007/"),
        "rejected/staff/batch=000000000007/",
    ]
    assert batch_folder("staff", 7) == "data/staff/batch=000000000007/"
    assert run_prefix("staff", 7, "0123456789") == "data/staff/batch=000000000007/01234567"
    assert (manifest_key(object_keys.LAST_NUMBER), revision_key(7, 1), revision_key(7, 2)) == (
        *("manifests/batch-999999999999.json", "manifests/batch-000000000007.json"),
        "revisions/batch-000000000007-0002.json",
    )
    name = "0123456789abcdef" * 2
    assert object_keys.answer_key(name) == f"answers/{name}"
    for key, is_one in ((f"answers/{name}", True), (f"answers/{name}0", False), (f"answer/{name}", False)):
        assert object_keys.is_answer(key) is is_one
    assert [object_keys.folder_name(table) for table in ("a.b", ".", "..", "...", "", "a b-c_d", "a=b", "a/b")] == [
        *("a.b", "%2E", "%2E%2E", "%2E%2E%2E", "", "a b-c_d", "a%3Db", "a%2Fb"),
    ]


@pytest.mark.parametrize(
    ("key", "run", "file"),
    [
        ("data/staff/batch=000000000007/01234567.changes.parquet", (7, "01234567"), None),
        ("data/staff/batch=000000000007/01234567.parquet", None, (7, "data/staff/")),
        ("deleted/staff/batch=000000000007/89abcdef.parquet", None, (7, "deleted/staff/")),
        ("rejected/a b/batch=000000000007/89abcdef.parquet", None, (7, "rejected/a b/")),
        ("data/staff/batch=000000000007/0123456.parquet", None, None),
        ("data/staff/batch=000000000007/0123456g.parquet", None, None),
        ("other/staff/batch=000000000007/01234567.parquet", None, None),
        ("data/staff/batch=07/01234567.a.parquet", None, None),
        ("data/a/b/batch=000000000007/01234567.a.parquet", None, None),
        ("data/staff/batch=000000000007/01234567.a.parquet.bak", None, None),
        ("manifests/batch-000000000007.json", None, None),
    ],
)
def test_key_says_whose_file_it_is(key, run, file):
    assert (run_of(key), processed_file_of(key)) == (run, file)
