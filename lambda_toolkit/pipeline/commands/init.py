"""``init``: a project to begin with, for another database."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.config.project import DECLARATION, example_tables, write_project
from lambda_toolkit.pipeline.installed import program


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@with_request
def command(request: Request, directory: Path) -> int:
    """Write a project into DIR, by default this folder: config/, two workflows for GitHub, .gitignore, README.md.

    config/pipeline.toml, warehouse.sql and source.sql have comments, declare two tables as an example and deploy as
    they are: to AWS, or to a local stack of their own. A JSON Schema beside them lets editors complete and check
    pipeline.toml.

    Files that are there already are never overwritten: they are named, and the missing ones are written.
    """
    done = write_project(directory, example_tables())
    for path in done.written:
        request.screen.say(f"Wrote {path}.")
    for path in done.kept:
        request.screen.say(f"Kept {path}, which was there already.")
    if not done.written:
        request.screen.say("Nothing was written: all files are there.")
    at = "" if directory == Path() else f" --config {shlex.quote(str(directory / DECLARATION))}"
    request.screen.say("Name your tables in config/. To try it on this machine:")
    request.screen.say(f"    {program()} local up{at}")
    request.screen.document(
        {"written": [str(path) for path in done.written], "kept": [str(path) for path in done.kept]}
    )
    return DONE
