"""``config/mirror.json`` follows the source: what is read and written, and what is said where neither can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.access.messages import Catalogs
from lambda_toolkit.pipeline.client.sources import catalogs, mirror
from lambda_toolkit.pipeline.client.sources.mirror import Follow, Refreshed, refreshed
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.mirror import Mirror, MirrorColumn, MirrorTable, read_mirror, to_json
from lambda_toolkit.pipeline.errors import CommandError, ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, Table

URL = {"SOURCE_DATABASE_URL": "postgresql://me:s3cret@db.example.com/shop"}
ID = Column("id", "integer", "integer", True)
TITLE = Column("title", "text", "text", False)
SHOP = Table("shop", "r", (ID,), ("id",), (("id",),))


def film(*columns: Column) -> Table:
    return Table("film", "r", (ID, *columns), ("id",), (("id",),))


def mirror_of(name: str, *more: str) -> MirrorTable:
    columns = [MirrorColumn("id", "id", "integer", True), *(MirrorColumn(each, each, "text", False) for each in more)]
    return MirrorTable(name, name, ("id",), f"{name}_record_id", tuple(columns))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A target whose source has ``answer``; and the file of its mirror."""
    (tmp_path / "config").mkdir()
    pipeline = load(DEFAULT_PATH)
    pipeline = replace(pipeline, path=tmp_path / "config" / "pipeline.toml", mirrored=("*",))
    made = Project(Target(pipeline, URL, False), tmp_path / "config" / "mirror.json")

    def read(of: Target, schemas: Any) -> Any:
        assert (of, schemas) == (made.target, ("public",))
        return Catalogs({"public": Catalog(made.answer, {})}) if isinstance(made.answer, tuple) else made.answer

    monkeypatch.setattr(catalogs, "read_catalogs", read)
    return made


class Project:
    def __init__(self, target: Target, file: Path) -> None:
        self.target, self.file = target, file
        self.answer: Any = (film(TITLE), SHOP)

    def tables(self, found: Target) -> dict[str, Any]:
        """The mirrored tables of a target, and their columns."""
        own = self.target.pipeline.declared["warehouse"]
        tables = found.pipeline.tables["warehouse"]
        return {name: list(table["columns"]) for name, table in tables.items() if name not in own}


WHOLE = {"film": ["id", "title"], "shop": ["id"]}


def test_first_mirror_is_written_and_is_to_be_committed(project: Any) -> None:
    """Whatever the command may follow otherwise."""
    for follow in Follow:
        found = refreshed(project.target, follow, write=False)
        assert not project.file.exists() and project.tables(found.target) == project.tables(found.source) == WHOLE
    assert found.changes == ("config/mirror.json lists 2 tables: commit it.",)
    project.answer = (replace(SHOP, name="é"),)
    found = refreshed(project.target, Follow.NOTHING)
    assert found.lines == ("Mirror: config/mirror.json lists 1 table: commit it.",)
    assert [table.source for table in read_mirror(project.target.pipeline.root).tables] == ["é"]


@pytest.mark.parametrize(
    ("follow", "tables", "written"),
    [
        (Follow.NOTHING, {"film": ["id"], "old": ["id"]}, False),
        (Follow.TABLES, {"film": ["id"], "shop": ["id"]}, True),
        (Follow.EVERYTHING, WHOLE, True),
    ],
)
def test_mirror_follows_as_far_as_the_command_does(project: Any, follow: Any, tables: Any, written: bool) -> None:
    """A column is new, which takes an ALTER TABLE; a table is new, and one is not there any more."""
    before = to_json(Mirror((mirror_of("film"), mirror_of("old"))))
    project.file.write_text(before, encoding="utf-8")
    found = refreshed(project.target, follow, write=False)
    assert project.file.read_text(encoding="utf-8") == before
    assert (project.tables(found.target), project.tables(found.source)) == (tables, WHOLE)
    assert len(found.changes) == 3 and found.notes == ()
    assert refreshed(project.target, follow) == found
    assert (project.file.read_text(encoding="utf-8") != before) is written
    if follow is Follow.EVERYTHING:
        at = project.file.stat().st_mtime_ns
        assert refreshed(project.target, follow).changes == () and project.file.stat().st_mtime_ns == at


@pytest.mark.parametrize("answer", ["no way.", None])
def test_source_that_cannot_be_read_leaves_the_mirror(project: Any, answer: str | None) -> None:
    why = answer or "nothing says where the source is."
    project.answer = answer
    with pytest.raises(CommandError, match=f"config/mirror.json cannot be made: {why}"):
        refreshed(project.target, Follow.EVERYTHING)
    project.file.write_text(to_json(Mirror((mirror_of("film"),))), encoding="utf-8")
    found = refreshed(project.target, Follow.EVERYTHING)
    note = f"config/mirror.json was used as it is: {why}"
    assert found == Refreshed(project.target, project.target, notes=(note,))
    assert found.lines == (f"Note: {note}",)


def test_mirror_that_means_no_table_is_an_error(project: Any) -> None:
    project.answer = (Table("keyless", "r", (ID,)),)
    with pytest.raises(CommandError, match="means no table that can be read.\nkeyless cannot be mirrored") as caught:
        refreshed(project.target, Follow.EVERYTHING)
    assert not project.file.exists() and "s3cret" not in str(caught.value)


def test_mirror_that_cannot_be_written_is_an_error(project: Any) -> None:
    project.file.parent.rmdir()
    with pytest.raises(CommandError, match=r"mirror\.json cannot be written: No such file"):
        refreshed(project.target, Follow.EVERYTHING)
    with pytest.raises(UnicodeEncodeError):  # what is no matter of files is not said to be one
        mirror._write(project.file.parent.parent / "x", "\ud800")


def test_source_is_not_asked_without_a_mirror_or_a_url(project: Any) -> None:
    project.answer = AssertionError
    plain = replace(project.target, pipeline=replace(project.target.pipeline, mirrored=()))
    assert refreshed(plain, Follow.EVERYTHING) == Refreshed(plain, plain)
    without = replace(project.target, environ={})
    with pytest.raises(ConfigurationError, match=r"mirror\.json does not exist"):
        refreshed(without, Follow.EVERYTHING)
    known = replace(without, pipeline=replace(without.pipeline, mirror="CREATE TABLE film ()"))
    assert refreshed(known, Follow.EVERYTHING) == Refreshed(known, known)
