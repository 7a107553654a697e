"""``publish``: the warehouse as Iceberg tables, batch by batch."""

from __future__ import annotations

from pathlib import Path

import click

from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted


@click.command("publish")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="A folder on this machine.")
@click.option("--namespace", help="The database of the tables. Default: `database` of [lake], and `_published`.")
@with_request
def command(request: Request, into: Path | None, namespace: str | None) -> None:
    """Publish what the warehouse has as Iceberg tables: in the Glue catalog, with the files in the processed bucket.

    Each batch is one append to each fact, with the record numbers of its versions; other tables are overwritten. The
    warehouse is read in one transaction. The command may be killed at any time and run again: it goes on where each
    table is, and nothing is published twice. Run it from a scheduler, on a machine that reaches the warehouse.
    """
    import json
    import warnings

    from lambda_toolkit.pipeline.client.warehouses.reader import WarehouseReader, warehouse_of
    from lambda_toolkit.pipeline.config.aws.deployment import tables_json
    from lambda_toolkit.pipeline.config.aws.lake_catalog import database_name
    from lambda_toolkit.pipeline.config.model import PROCESSED
    from lambda_toolkit.pipeline.errors import CommandError
    from lambda_toolkit.pipeline.iceberg.catalogs import folder_catalog, glue_catalog
    from lambda_toolkit.pipeline.iceberg.publishing import publish
    from lambda_toolkit.pipeline.iceberg.snapshot import WarehouseSnapshot
    from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse

    target = request.target()
    pipeline = target.pipeline
    reader = warehouse_of(target)
    if not isinstance(reader, WarehouseReader):
        raise CommandError(
            "`publish` reads a PostgreSQL warehouse over a connection: run it on a machine that reaches the warehouse, "
            "with a configuration without the function `access`."
        )
    if into is not None:
        catalog, account = folder_catalog(into), ""
    else:
        if PROCESSED not in pipeline.buckets:
            raise CommandError(f"{pipeline.path} declares no bucket `{PROCESSED}`. Publish into a folder: --into.")
        account = target.aws().account_id
        catalog = glue_catalog(target, pipeline.bucket_name(PROCESSED, account))
    name = namespace or f"{database_name(pipeline, account)}_published"
    declared = parse(json.loads(tables_json(pipeline)))
    with request.screen.waiting("Publishing ..."), warnings.catch_warnings(), reader.reading() as connection:
        warnings.simplefilter("ignore")  # pyiceberg's, where a deletion meets no row
        done = publish(WarehouseSnapshot(connection), catalog, name, declared)
    if done is None:
        request.screen.say("Nothing is loaded yet: there is nothing to publish.")
    elif not done.commits:
        request.screen.say(f"Nothing new: {name} has everything up to batch {done.batch}.")
    else:
        rows, commits = counted(done.rows, "row"), counted(done.commits, "commit")
        request.screen.say(f"{name} has everything up to batch {done.batch}: {rows} written in {commits}.")
    batch, count, rows_written = (done.batch, done.commits, done.rows) if done else (None, 0, 0)
    request.screen.document({"namespace": name, "batch": batch, "commits": count, "rows": rows_written})
