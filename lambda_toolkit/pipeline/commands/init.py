"""``init``: a configuration to begin with, for another database."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click

from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.errors import CommandError

_REPOSITORY = Path(__file__).parents[3]
_STARTER = Path(__file__).parents[1] / "config" / "starter"
_TABLES_BEGIN = re.compile(r"^# -+ source$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")  # it begins the names of buckets, functions and roles


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@with_request
def command(request: Request, directory: Path) -> int:
    """Write DIR/config/pipeline.toml, warehouse.sql and source.sql, with comments, for a database of your own.

    They hold two tables as an example and deploy as they are: to AWS, or to an embedded stack of their own. Nothing
    that exists is overwritten.
    """
    written = write_starter(directory)
    for path in written:
        request.screen.say(f"Wrote {path}.")
    config = shlex.quote(str(written[0]))
    request.screen.say("Name your tables in them. To try it on this machine:")
    request.screen.say(f"    python deploy.py local up --config {config}")
    request.screen.document({"written": [str(path) for path in written]})
    return DONE


def write_starter(directory: Path) -> list[Path]:
    """Write the files and return their paths.

    Raises CommandError where one exists, where ``directory`` has no name that AWS takes, or cannot be written.
    """
    name = _name(directory)
    shipped = (_REPOSITORY / "config" / "pipeline.toml").read_text(encoding="utf-8")
    contents = {
        directory / "config" / "pipeline.toml": _pipeline(shipped, name, directory),
        directory / "config" / "warehouse.sql": (_STARTER / "warehouse.sql").read_text(encoding="utf-8"),
        directory / "config" / "source.sql": (_STARTER / "source.sql").read_text(encoding="utf-8"),
    }
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
            f"The pipeline is called as its folder, and `{directory.resolve().name}` is no name that AWS takes: "
            "1 to 20 small letters, digits and -, beginning with a letter. Name another folder: init DIR"
        )
    return name


def _pipeline(shipped: str, name: str, directory: Path) -> str:
    """The shipped configuration under another name, with the functions' code where it is, and two tables."""
    head = _TABLES_BEGIN.split(shipped, maxsplit=1)[0]
    code = Path(os.path.relpath(_REPOSITORY / "lambdas", directory.resolve())).as_posix()
    head = head.replace('"lambdas/', f'"{code}/').replace('"totes"', f'"{name}"')
    return head + (_STARTER / "tables.toml").read_text(encoding="utf-8")
