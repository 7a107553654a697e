"""A large batch is transformed in parts, each with files of its own: the same rows, whoever transforms them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ingestion_manifest, processed_manifest, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.transform.batch import transform
from lambda_toolkit.pipeline.lambdas.transform.parts import PartTransform
from tests.support.large_table import PART_ROWS, ROWS, step
from tests.support.readers import quick


def rows_in(pipeline, files) -> list[dict[str, Any]]:
    """The rows of these files of the processed bucket."""
    return [row for file in files for row in pipeline.processed.table(file.key).to_pylist()]


def test_large_batch_has_files_of_each_part(parted):
    """Of a table with several parts the manifest lists several files, which together have what one has otherwise."""
    done = parted.transform(1).manifest
    payments, rejected = done.tables["fact_payment"], done.rejected["fact_payment"]
    assert len(payments.data_files) == len(rejected.files) == 5
    assert done.tables["dim_design"].more == ()
    assert payments.rows == sum(file.rows for file in payments.data_files) == ROWS + 9 - rejected.source_rows
    whole = transform(
        parted.ingestion, _other(parted, "whole"), replace(parted.declarations, part_rows=1_000_000), 1
    ).manifest
    assert whole.tables["fact_payment"].more == ()
    found = rows_in(parted, payments.data_files)
    parted.processed = _other(parted, "whole", create=False)
    assert found == rows_in(parted, whole.tables["fact_payment"].data_files)
    assert rejected.source_rows == whole.rejected["fact_payment"].source_rows == 60
    assert done.tables["dim_date"] == whole.tables["dim_date"]
    assert processed_manifest(to_json(done), "m") == done


def test_warehouse_has_every_row_of_every_part(parted):
    """Rows and rejects of all files are loaded; the same batch again has no new revision."""
    parted.transform(1)
    parted.load()
    assert parted.rows("SELECT count(*) FROM fact_payment") == [[ROWS + 9 - 60]]
    assert parted.rows("SELECT count(*) FROM pipeline.rejected_value") == [[60]]
    assert parted.replay(1).created is False


def test_deleted_keys_are_in_one_part(parted, readers):
    """What the source deleted is in a file of the last part alone."""
    parted.admin.run("DELETE FROM payment WHERE payment_id = 501")
    parted.admin.run("UPDATE payment SET payment_amount = payment_amount + 1")
    step(parted, quick(readers))
    payments = parted.transform(2).manifest.tables["fact_payment"]
    assert len(payments.data_files) > 1
    assert [file.rows for file in payments.deleted_files] == [1]


def test_part_of_another_declaration_is_refused(parted):
    """Whoever has another release would transform something else: the same request is none of its parts."""
    source = ingestion_manifest(parted.ingestion.get(manifest_key(1)), manifest_key(1))
    part = PartTransform(source, parted.ingestion, parted.processed, parted.declarations).parts[-1]
    other = replace(parted.declarations, part_rows=PART_ROWS + 1)
    assert PartTransform(source, parted.ingestion, parted.processed, other).result(part).refused
    assert list(parted.processed.listing("data/")) == []


def _other(pipeline, name, *, create=True):
    """Another processed bucket."""
    client = pipeline.processed._client
    if create:
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    return type(pipeline.processed)(client, name)
