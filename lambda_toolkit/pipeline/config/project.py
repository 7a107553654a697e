"""A project of one's own: the files that ``init`` writes, and how they are written beside what is there already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from lambda_toolkit.pipeline.config.mirror import MIRROR_FILE
from lambda_toolkit.pipeline.config.schema.reference import SCHEMA_FILE, schema_text
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import STARTER, VERSION

DECLARATION = Path("config/pipeline.toml")
_LONGEST_NAME = 20  # characters: it begins the names of buckets, functions and roles
_UNNAMED = "pipeline"  # the name where the folder's has no letter that AWS accepts
_AROUND = {  # files that fit any declaration -> the template of each
    Path(".gitignore"): "gitignore",
    Path(".github/workflows/deploy.yml"): "deploy.yml",
    Path(".github/workflows/audit.yml"): "audit.yml",
    Path("README.md"): "README.md",
    Path("config/requirements.lock"): "requirements.lock",
}


@dataclass(frozen=True)
class Tables:
    """The part of a project that depends on its source: texts of files, which belong together."""

    pipeline_toml: str
    """The ``[source]`` and ``[warehouse]`` tables of ``pipeline.toml``."""
    warehouse_sql: str | None
    """``warehouse.sql``; None: there is no such file."""
    source_sql: str | None = None
    """``source.sql``, which only the local stack reads; None: there is no such file."""
    mirror_json: str | None = None
    """``mirror.json``; None: there is no such file."""


@dataclass(frozen=True)
class Written:
    """What became of the files of a project."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    """Those that were there already, and were not changed."""


def example_tables() -> Tables:
    """Two tables as an example."""
    toml, warehouse, source = (_template(name) for name in ("tables.toml", "warehouse.sql", "source.sql"))
    return Tables(toml, warehouse, source)


def project_name(directory: Path) -> str:
    """The name of the pipeline in ``directory``: the folder's, in the characters that AWS accepts in each name."""
    folder = re.sub(r"[^a-z0-9]+", "-", directory.absolute().resolve().name.lower()).strip("-")
    letter_first = folder if folder[:1].isalpha() else f"{_UNNAMED}-{folder}"
    return letter_first[:_LONGEST_NAME].strip("-")


def write_project(directory: Path, tables: Tables) -> Written:
    """Write the project into ``directory`` beside what is there: no file is overwritten.

    Where ``config/pipeline.toml`` is there and another than this, all of ``config`` is a user's, and only the files
    around it are written. A file that holds no more than the beginning of what is written, left by a process that was
    ended, is completed. Raises ConfigurationError where a file cannot be written, and, before anything is, where there
    is another ``warehouse.sql`` or ``source.sql`` for a new ``pipeline.toml``.
    """
    values = {"name": project_name(directory), "version": VERSION}
    declared = {
        Path("config/warehouse.sql"): tables.warehouse_sql,
        Path("config/source.sql"): tables.source_sql,
        MIRROR_FILE: tables.mirror_json,
        DECLARATION: f"{_template('settings.toml')}{tables.pipeline_toml}",  # last: it makes the others valid
    }
    belonging = {path: _filled(text, values) for path, text in declared.items() if text is not None}
    around = {path: _filled(_template(template), values) for path, template in _AROUND.items()}
    around[Path("config") / SCHEMA_FILE] = schema_text()
    found = {path: _read(directory / path) for path in (*around, *belonging)}
    declaration = found[DECLARATION]
    if declaration is not None and not belonging[DECLARATION].startswith(declaration):
        belonging = {path: text for path, text in belonging.items() if found[path] is not None}
    elif declaration != belonging[DECLARATION]:
        _check_new(directory, belonging, found)
    wanted = around | belonging
    missing = [path for path, text in wanted.items() if _is_incomplete(text, found[path])]
    for path in missing:
        _write(directory / path, wanted[path])
    kept = (directory / path for path in wanted if path not in missing)
    return Written(tuple(directory / path for path in missing), tuple(kept))


def _check_new(directory: Path, belonging: Mapping[Path, str], found: Mapping[Path, str | None]) -> None:
    for path, text in belonging.items():
        there = found[path]
        if there is not None and not text.startswith(there):
            raise ConfigurationError(
                f"{directory / path} exists, and a new {DECLARATION.name} would not fit it. Nothing was written: move "
                "it away, or name another folder: init DIR"
            )


def _is_incomplete(text: str, there: str | None) -> bool:
    """Whether ``there`` is nothing, or a beginning of ``text``."""
    return there is None or (there != text and text.startswith(there))


def _read(path: Path) -> str | None:
    """The text of what is at ``path``, in which a byte that is not UTF-8 is U+FFFD; None where nothing is."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigurationError(
                f"{path} is a link to a file that is not there, and nothing is overwritten."
            ) from None
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Once it can be, the same command writes what is missing."
        ) from error


def _template(name: str) -> str:
    return (STARTER / name).read_text(encoding="utf-8")


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its ``$name`` and ``$version`` replaced; other dollars are those of workflows and shells."""
    return Template(template).safe_substitute(values)
