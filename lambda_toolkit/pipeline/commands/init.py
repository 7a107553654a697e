"""``init``: a project to begin with, for another database."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.config.database_url import given_url
from lambda_toolkit.pipeline.config.project import DECLARATION, Tables, example_tables, write_project
from lambda_toolkit.pipeline.errors import UsageError
from lambda_toolkit.pipeline.installed import GIVEN_URL, program

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.proposal.propose import Proposal

_SAMPLE = "postgresql://..."  # in place of a URL with its password


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--from",
    "source",
    metavar="URL",
    help="Propose the tables of the database at this URL, postgresql://user:password@host/database; or the name of an "
    "environment variable that has it, so that no shell's history does.",
)
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    metavar="NAME",
    help="Read this schema of the database in place of public; more than once for several.",
)
@click.option("--mirror", is_flag=True, help="Propose every table of --from as it is, with full history, and no star.")
@with_request
def command(request: Request, directory: Path, source: str | None, schemas: tuple[str, ...], mirror: bool) -> None:
    """Write a project into DIR, by default this folder: config/, two workflows for GitHub, .gitignore, README.md.

    config/pipeline.toml, warehouse.sql and source.sql have comments, declare two tables as an example and deploy as
    they are: to AWS, or to a local stack of their own. A JSON Schema beside them lets editors complete and check
    pipeline.toml.

    With --from, they declare the tables of a database instead, of which the catalog alone is read: each with its key,
    and a star of facts and dimensions as its foreign keys suggest it, with the reasons as comments; or, with --mirror,
    every table as it is, with every version of each row.

    Files that are there already are never overwritten: they are named, and the missing ones are written.
    """
    if mirror and source is None:
        raise UsageError("--mirror needs --from: the URL of the database whose tables are mirrored.")
    if schemas and (source is None or mirror):
        raise UsageError("--schema is for the star of --from: a mirror has the tables of the schema public.")
    proposal = _proposal(request, source, schemas, mirror=mirror) if source is not None else None
    done = write_project(directory, _tables(proposal) if proposal else example_tables())
    for path in done.written:
        request.screen.say(f"Wrote {path}.")
    for path in done.kept:
        request.screen.say(f"Kept {path}, which was there already.")
    if not done.written:
        request.screen.say("Nothing was written: all files are there.")
    for note in proposal.notes if proposal else ():
        request.screen.say(f"Note: {note}")
    at = "" if directory == Path() else f" --config {shlex.quote(str(directory / DECLARATION))}"
    what = "Look through the tables in config/" if proposal else "Name your tables in config/"
    request.screen.say(f"{what}. To try it on this machine:")
    request.screen.say(f"    {program()} local up{f' --source-url {_shown(source)}' if source else ''}{at}")
    request.screen.document(
        {
            "written": [str(path) for path in done.written],
            "kept": [str(path) for path in done.kept],
            "notes": list(proposal.notes) if proposal else [],
        }
    )


def _shown(source: str) -> str:
    """What ``--from`` was given, without a password."""
    return _SAMPLE if ":" in source or source.startswith(GIVEN_URL) else source


def _proposal(request: Request, source: str, schemas: tuple[str, ...], *, mirror: bool) -> Proposal:
    """The proposal for ``--from``: a URL, or the name of an environment variable that has one."""
    from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA
    from lambda_toolkit.pipeline.proposal.propose import propose

    url, where = given_url("--from", source, os.environ)
    with request.screen.waiting("Reading the catalog ..."):
        return propose(url, where, mirror=mirror, schemas=schemas or (SCHEMA,))


def _tables(proposal: Proposal) -> Tables:
    """The proposal as files, in which the dollars of names are those of names."""
    texts = (proposal.pipeline_toml, proposal.warehouse_sql, proposal.mirror_json)
    toml, warehouse, mirror = (text.replace("$", "$$") if text is not None else None for text in texts)
    return Tables(toml or "", warehouse, mirror_json=mirror)
