"""``lake``: the SQL that makes the lake readable in DuckDB, or in a session of Spark."""

from __future__ import annotations

import json

import click

from lambda_toolkit.pipeline.commands.shared.options import Request, with_request


@click.command("lake")
@click.option(
    "--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb", show_default=True, help="For which."
)
@click.option(
    "--root", help="A folder with a copy of the bucket, or another address of it. Default: the bucket itself."
)
@with_request
def command(request: Request, engine: str, root: str | None) -> None:
    """Print the SQL by which DuckDB or Spark reads the lake: the same views that Athena has after a deploy.

    They show the history of every table, and its present, as far as every batch is transformed. Nothing is copied, and
    each query reads what is there then. The SQL has no credentials: DuckDB and Spark find them as the AWS CLI does.

    In DuckDB: save it as lake.sql, then `duckdb -init lake.sql`.
    """
    from lambda_toolkit.pipeline.config.aws.deployment import tables_json
    from lambda_toolkit.pipeline.config.model import PROCESSED
    from lambda_toolkit.pipeline.errors import CommandError
    from lambda_toolkit.pipeline.lake import scripts
    from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse

    target = request.target()
    pipeline = target.pipeline
    declared = parse(json.loads(tables_json(pipeline)))
    before: tuple[str, ...] = ()
    if root is None:
        if PROCESSED not in pipeline.buckets:
            raise CommandError(
                f"{pipeline.path} declares no bucket `{PROCESSED}`. Name the place of the files: --root."
            )
        root = f"s3://{pipeline.bucket_name(PROCESSED, target.aws().account_id)}"
        if engine == "duckdb":
            endpoint = target.environ.get("AWS_ENDPOINT_URL", "")
            before = scripts.duckdb_credentials(pipeline.region, endpoint)
    script = scripts.duckdb_script if engine == "duckdb" else scripts.spark_script
    statements = (*before, *script(declared, root.rstrip("/")))
    for statement in statements:
        request.screen.say(f"{statement};\n")
    request.screen.document({"engine": engine, "root": root, "statements": list(statements)})
