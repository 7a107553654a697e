"""``init``: a configuration to begin with, for another database."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from string import Template

import click

from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.config.reference import SCHEMA_FILE, schema_text
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import STARTER, program

_FILES = {  # what is written below config/ -> the templates that it is made of
    "pipeline.toml": ("settings.toml", "tables.toml"),
    "warehouse.sql": ("warehouse.sql",),
    "source.sql": ("source.sql",),
    "requirements.lock": ("requirements.lock",),
}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")  # it begins the names of buckets, functions and roles


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@with_request
def command(request: Request, directory: Path) -> int:
    """Write DIR/config/pipeline.toml, warehouse.sql and source.sql, with comments, for a database of your own.

    They declare two tables as an example and deploy as they are: to AWS, or to a local stack of their own. A JSON
    Schema beside them lets editors complete and check pipeline.toml. Existing files are never overwritten.
    """
    written = write_starter(directory)
    for path in written:
        request.screen.say(f"Wrote {path}.")
    config = shlex.quote(str(written[0]))
    request.screen.say("Name your tables in them. To try it on this machine:")
    request.screen.say(f"    {program()} local up --config {config}")
    request.screen.document({"written": [str(path) for path in written]})
    return DONE


def write_starter(directory: Path) -> list[Path]:
    """Write the files and return their paths, ``pipeline.toml`` first.

    Raises CommandError where one exists, where ``directory`` has no name that AWS takes, or cannot be written.
    """
    values = {"name": _name(directory), "command": program()}
    contents = {
        directory / "config" / name: "".join(_filled(template, values) for template in templates)
        for name, templates in _FILES.items()
    }
    contents[directory / "config" / SCHEMA_FILE] = schema_text()
    for path in contents:
        if path.exists():
            raise CommandError(f"{path} exists, and nothing is overwritten. Name another folder: init DIR")
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
    return list(contents)


def _name(directory: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", directory.absolute().resolve().name.lower()).strip("-")
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"The pipeline is named after its folder, and AWS does not accept `{directory.resolve().name}`: use 1 to "
            "20 lower-case letters, digits and -, beginning with a letter. Name another folder: init DIR"
        )
    return name


def _filled(template: str, values: dict[str, str]) -> str:
    """The text of a file of ``config/starter`` with its ``$name`` and ``$command`` replaced."""
    return Template((STARTER / template).read_text(encoding="utf-8")).substitute(values)
