"""What DuckDB reads of the lake is what the warehouse has: the history of facts, and the present of every table."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key, revision_key
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR
from tests.support.lake_reader import copied, reading, texts
from tests.support.repository import CONFIG


@pytest.fixture
def lake(pipeline, tmp_path):
    """Opens DuckDB on a copy of what the lake has now."""
    return lambda: reading(
        pipeline.declarations, copied(pipeline.processed._client, pipeline.processed.bucket, tmp_path / "processed")
    )


def in_warehouse(pipeline, relation: str, columns) -> list[tuple[str | None, ...]]:
    selected = ", ".join(f'"{column}"::text' for column in columns)
    rows = pipeline.rows(f"SELECT {selected} FROM {relation}")
    return sorted(map(tuple, rows), key=lambda row: [(value is None, value or "") for value in row])


def compare(pipeline, connection) -> int:
    """Every view against the warehouse's; returns the rows that were compared."""
    pipeline.warehouse.run("SET TimeZone = 'UTC'")
    compared = 0
    for table in pipeline.declarations.warehouse.values():
        columns = list(table.column_names)
        relations = [f"current_{table.name}"] if table.kind != CALENDAR else []
        relations += [f"history_{table.name}"] if table.record else [table.name]
        for relation in relations:
            own = [*columns, *(("valid_from", "valid_to") if relation.startswith("history_") else ())]
            expected = in_warehouse(pipeline, relation, own)
            found = texts(connection, relation, own)
            if relation.startswith("history_"):
                expected = [(*row[:-2], *(_moment(value) for value in row[-2:])) for row in expected]
            assert found == expected, relation
            compared += len(expected)
    return compared


def _moment(text: str | None) -> str | None:
    return text and text.removesuffix("+00")


def busy(pipeline) -> None:
    """Four batches: rows that change, change back, are deleted, and come again as they were."""
    pipeline.run()
    pipeline.admin.run("UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id < 3")
    pipeline.run()
    pipeline.admin.run("CREATE TEMPORARY TABLE kept AS SELECT * FROM sales_order WHERE sales_order_id = 2")
    pipeline.admin.run("UPDATE sales_order SET units_sold = units_sold - 1 WHERE sales_order_id = 1")
    pipeline.admin.run("DELETE FROM payment; DELETE FROM transaction; DELETE FROM sales_order WHERE sales_order_id = 2")
    pipeline.admin.run("UPDATE department SET location = 'Moon'")
    pipeline.run()
    pipeline.admin.run("INSERT INTO sales_order SELECT * FROM kept")
    pipeline.run()


def test_lake_equals_the_warehouse(pipeline, lake):
    busy(pipeline)
    with lake() as connection:
        assert compare(pipeline, connection) > 50
        assert connection.execute("SELECT lake_batch FROM lake_batches ORDER BY 1").fetchall() == [
            (1,),
            (2,),
            (3,),
            (4,),
        ]


def test_views_of_athena_show_the_present_and_the_history(pipeline, lake):
    """Athena's own texts, which DuckDB understands too, over the files; times of day are not in them."""
    busy(pipeline)
    with lake() as connection:
        for table in declared_catalog().tables:
            if table.query:
                connection.execute(f'CREATE OR REPLACE VIEW "{table.name}" AS {table.query}')
                columns = [column.name for column in table.columns]
                assert [row[0] for row in connection.execute(f'DESCRIBE "{table.name}"').fetchall()] == columns
        for table in pipeline.declarations.warehouse.values():
            if table.kind != CALENDAR:
                columns = [name for name in table.column_names if "time" not in table.types[name].type]
                found = texts(connection, f"current_{table.name}", columns)
                assert found == in_warehouse(pipeline, f"current_{table.name}", columns)
        versions = connection.execute("SELECT count(*) FROM history_fact_sales_order").fetchone()
        assert versions == tuple(pipeline.rows("SELECT count(*) FROM fact_sales_order")[0])


HIVE = {"int32": "int", "string": "string", "date32[day]": "date", "bool": "boolean", "int64": "bigint"}


def test_catalog_has_the_types_of_the_files(pipeline, lake, tmp_path):
    """Athena and Spark refuse a column whose files have another type than the catalog says."""
    busy(pipeline)
    with lake():
        compared = 0
        for table in declared_catalog().tables:
            if table.format == "parquet" and table.location:
                folder = tmp_path / "processed" / table.location.split("/", 3)[3]
                for path in folder.rglob("*.parquet"):
                    schema = pq.read_schema(path)
                    written = {field.name: str(field.type) for field in schema}
                    for column in table.columns:
                        kind = written[column.name].replace("decimal128", "decimal").replace(", ", ",")
                        assert HIVE.get(kind, kind) == column.hive, f"{table.name}.{column.name}"
                        compared += 1
        assert compared > 100


def declared_catalog():
    """The catalog that a deploy of the sample keeps."""
    pipeline = load(CONFIG / "pipeline.toml", None, {})
    [catalog] = deployment(pipeline, "123456789012", {}).catalogs
    return catalog


def test_lake_of_one_batch_is_read_though_nothing_was_deleted(pipeline, lake):
    pipeline.run()
    with lake() as connection:
        assert compare(pipeline, connection) > 30


def test_files_that_no_manifest_names_do_not_count(pipeline, lake, tmp_path):
    busy(pipeline)
    with lake() as connection:
        compare(pipeline, connection)
    for path in [*(tmp_path / "processed").glob("d*/*/batch=*/*.parquet")]:  # of other batches, and so of other content
        for batch in (1, 4):
            other = path.parent.with_name(f"batch={batch:012d}") / f"{path.parent.name[-1]}eadbeef.parquet"
            other.parent.mkdir(exist_ok=True)
            other.write_bytes(path.read_bytes())
    with lake() as connection:
        compare(pipeline, connection)


def test_newest_revision_of_a_batch_replaces_the_earlier_ones(pipeline, lake, tmp_path):
    busy(pipeline)
    manifest = json.loads(pipeline.processed.get(manifest_key(2)))
    del manifest["tables"]["fact_sales_order"]
    for revision in (2, 10):
        document = json.dumps({**manifest, "revision": revision}, indent=1, sort_keys=True).encode()
        pipeline.processed.put_if_absent(revision_key(2, revision), document)
    with lake() as connection:
        batches = connection.execute("SELECT DISTINCT lake_batch FROM history_fact_sales_order ORDER BY 1").fetchall()
        assert batches == [(1,), (4,)], "without batch 2, batch 3 changes nothing"
        assert connection.execute("SELECT count(*) FROM lake_batches").fetchone() == (4,)


def test_batches_behind_a_missing_one_do_not_count(pipeline, lake, tmp_path):
    busy(pipeline)
    with lake():
        (tmp_path / "processed" / manifest_key(2)).unlink()
    with reading(pipeline.declarations, tmp_path / "processed") as connection:
        assert connection.execute("SELECT lake_batch FROM lake_batches").fetchall() == [(1,)]
        assert connection.execute("SELECT max(lake_batch) FROM history_fact_sales_order").fetchone() == (1,)


def test_objects_of_others_do_not_count(pipeline, lake, tmp_path):
    busy(pipeline)
    others = {"manifests/batch-000000000009.json.bak": b"x", "manifests/batch-000000000004-copy.json": b'{"key": "x"}'}
    for key, content in {**others, "manifests/_SUCCESS": b"", "revisions/zz.json": b"{}"}.items():
        path: Path = tmp_path / "processed" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with lake() as connection:
        compare(pipeline, connection)
