"""``query``: what a query of the warehouse returns, as a table, CSV, Parquet or JSON."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.errors import CommandError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from lambda_toolkit.pipeline.client.warehouses.query import Warehouse

_SHOWN = 50  # rows in a table on the screen
_FORMATS = ("csv", "parquet")


@click.command("query")
@click.argument("text", metavar="SQL")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file: .csv or .parquet.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout.")
@click.option(
    "--rows", type=click.IntRange(min=1), default=_SHOWN, show_default=True, help="How many rows the table shows."
)
@with_request
def command(request: Request, text: str, output: Path | None, as_csv: bool, rows: int) -> None:
    """Show what a query of the warehouse returns. SQL may be `-`: it is read from stdin.

    The query runs in a read-only transaction, as the user that load has. On the screen the result is a table; with
    --csv, CSV; with --output, a file, in which Parquet keeps the types; with --json, a document.
    """
    if sum((as_csv, output is not None, request.screen.as_json)) > 1:
        raise UsageError("--csv, --output and --json exclude each other.")
    kind = output.suffix.lstrip(".").lower() if output else ""
    if output and kind not in _FORMATS:
        raise UsageError(f"--output must end in .csv or .parquet: {output} does not.")
    if text == "-":
        text = sys.stdin.read()
    warehouse = _warehouse(request.target())
    if output:
        _write(request, warehouse, text, output, kind)
    elif as_csv:
        warehouse.csv(text, sys.stdout.buffer.write)
        sys.stdout.buffer.flush()
    else:
        _show(request, warehouse.query(text), rows)


def _warehouse(target: Target) -> Warehouse:
    from lambda_toolkit.pipeline.client.warehouses.query import Warehouse

    return Warehouse.of(target)


def _show(request: Request, found: pa.Table, limit: int) -> None:
    import pyarrow as pa

    head = [list(row) for row in zip(*(column.to_pylist() for column in found.slice(0, limit).columns), strict=True)]
    numbers = [
        field.name
        for field in found.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
    ]
    screen = request.screen
    cells = [["" if value is None else str(value) for value in row] for row in head]
    screen.table(counted(found.num_rows, "row"), found.column_names, cells, right=numbers)
    if found.num_rows > limit:
        screen.say(f"The first {limit:,} of them. All: --rows {found.num_rows}, --csv, or --output FILE.", dim=True)
    if screen.as_json:
        columns = [{"name": field.name, "type": str(field.type)} for field in found.schema]
        every = zip(*(column.to_pylist() for column in found.columns), strict=True)
        screen.document({"columns": columns, "rows": [list(row) for row in every]})


def _write(request: Request, warehouse: Warehouse, text: str, output: Path, kind: str) -> None:
    """Writes the file beside its place first: a query that fails leaves what was there."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            if kind == "csv":
                warehouse.csv(text, file.write)
                done = str(output)
            else:
                found = warehouse.query(text)
                _write_parquet(found, file)
                done = f"{output}: {counted(found.num_rows, 'row')}"
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    request.screen.progress(f"Wrote {done}.")


def _write_parquet(found: pa.Table, file: BinaryIO) -> None:
    import pyarrow.parquet as pq

    twice = [name for name in found.column_names if found.column_names.count(name) > 1]
    if twice:
        raise CommandError(f"Parquet needs a name for each column, and {twice[0]} is that of several: use AS.")
    pq.write_table(found, file, compression="zstd")
