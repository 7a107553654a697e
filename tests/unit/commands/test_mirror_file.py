"""The mirror as a file: what it means, how it is written and read, and which names its tables get."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.mirror import (
    Mirror,
    MirrorColumn,
    MirrorTable,
    is_mirrored,
    mirror_sql,
    read_mirror,
    relation_names,
    to_json,
    warehouse_name,
    with_mirror,
)
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

FILM = MirrorTable(
    "film",
    "film",
    ("film_id",),
    "film_record_id",
    (
        MirrorColumn("film_id", "film_id", "integer", True),
        MirrorColumn("title_", "title", "text", False),
        MirrorColumn("rate", "rate", "numeric(4,2)", False, dropped=True),
    ),
)
ROLE = MirrorTable(
    "rôle",
    "mirror_role",
    ("film_id", "n"),
    "r",
    (MirrorColumn("f", "film_id", "integer", True), MirrorColumn("n", "n", "smallint", True)),
)
MIRROR = Mirror((FILM, ROLE))
TEXT = """{
 "format": 1,
 "tables": {
  "film": {
   "key": ["film_id"],
   "record": "film_record_id",
   "columns": {
    "film_id": {"type": "integer", "required": true},
    "title_": {"type": "text", "required": false, "source": "title"},
    "rate": {"type": "numeric(4,2)", "required": false, "dropped": true}
   }
  },
  "rôle": {
   "key": ["film_id", "n"],
   "record": "r",
   "table": "mirror_role",
   "columns": {
    "f": {"type": "integer", "required": true, "source": "film_id"},
    "n": {"type": "smallint", "required": true}
   }
  }
 }
}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


def test_mirror_is_written_as_it_is_read(root: Path) -> None:
    assert to_json(MIRROR) == TEXT and json.loads(TEXT)
    assert read_mirror(root) is None
    (root / "config" / "mirror.json").write_text(TEXT, encoding="utf-8")
    assert read_mirror(root) == MIRROR
    assert json.loads(to_json(Mirror()))["tables"] == {}
    assert (MIRROR.get("rôle"), MIRROR.get("mirror_role")) == (ROLE, None)
    assert [column.name for column in FILM.present] == ["film_id", "title_"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read: "),
        ("[]", "has the format None; this release reads 1"),
        ('{"format": 2}', "has the format 2; this release reads 1"),
        ('{"format": 1}', "is not as this release writes it"),
        ('{"format": 1, "tables": []}', "is not as this release writes it"),
        ('{"format": 1, "tables": {"a": 3}}', "is not as this release writes it"),
        ('{"format": 1, "tables": {"a": {"columns": {"b": 3}, "key": [], "record": "r"}}}', "is not as this release"),
    ],
)
def test_file_of_another_form_is_refused(root: Path, text: str, says: str) -> None:
    (root / "config" / "mirror.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says):
        read_mirror(root)
    (root / "config" / "mirror.json").unlink()
    (root / "config" / "mirror.json").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot be read: Is a directory\. "):
        read_mirror(root)


@pytest.mark.parametrize(
    ("patterns", "table", "mirrored"),
    [
        (["*"], "a", True),
        (["*"], "a\nb", True),
        (["a*"], "ab", True),
        (["a*"], "ba", False),
        (["a?"], "ab", True),
        (["a?"], "a", False),
        (["a?"], "abc", False),
        (["a.b"], "axb", False),
        (["a", "!a"], "a", False),
        (["!a", "a"], "a", True),
        (["*", "!b*", "bc"], "bd", False),
        (["*", "!b*", "bc"], "bc", True),
        (["!a"], "b", False),
        ([], "a", False),
    ],
)
def test_last_pattern_that_fits_decides(patterns: list[str], table: str, mirrored: bool) -> None:
    assert is_mirrored(patterns, table) is mirrored


def test_mirrored_tables_are_facts_of_their_own() -> None:
    pipeline = replace(load(DEFAULT_PATH), mirrored=("*",))
    declared = with_mirror(pipeline, MIRROR)
    assert declared.tables["source"]["film"] == {"key": "film_id"}
    assert declared.tables["source"]["rôle"] == {"key": ["film_id", "n"]}
    assert declared.tables["warehouse"]["film"] == {
        "kind": "fact",
        "from": "film",
        "key": "film_id",
        "record": "film_record_id",
        "columns": {"film_id": "film_id", "title_": "title"},
    }
    assert declared.tables["warehouse"]["mirror_role"]["key"] == ["f", "n"]
    assert declared.mirror == mirror_sql(MIRROR) and "fact_payment" in declared.tables["warehouse"]
    some = with_mirror(replace(pipeline, mirrored=("*", "!film")), MIRROR)
    assert "film" not in some.tables["warehouse"] and some.mirror == mirror_sql(Mirror((ROLE,)))


@pytest.mark.parametrize(
    ("own", "source", "key"),
    [
        ({"compare": "content"}, {"key": "film_id", "compare": "content"}, "film_id"),
        ({"key": ["title", "rate"]}, {"key": ["title", "rate"]}, ["title_", "rate"]),
        ("title", "title", "title_"),
    ],
)
def test_own_declaration_of_a_source_table_stays(own: Any, source: Any, key: Any) -> None:
    pipeline = replace(load(DEFAULT_PATH), mirrored=("*",))
    tables = {**pipeline.declared, "source": {**pipeline.declared["source"], "film": own}}
    found = with_mirror(replace(pipeline, declared=tables), MIRROR)
    assert found.tables["source"]["film"] == source
    assert found.tables["warehouse"]["film"]["key"] == key


def test_name_of_a_declared_table_is_refused() -> None:
    pipeline = replace(load(DEFAULT_PATH), mirrored=("*",))
    with pytest.raises(ConfigurationError, match='give two tables the name fact_payment.*exclude the first with "!x"'):
        with_mirror(pipeline, Mirror((replace(FILM, source="x", name="fact_payment"),)))


def test_statements_have_every_column() -> None:
    assert mirror_sql(MIRROR) == (
        "CREATE TABLE film (\n"
        "    film_record_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,\n"
        "    film_id integer NOT NULL,\n"
        "    title_ text,\n"
        "    rate numeric(4,2)\n"
        ");\n"
        "\n"
        "CREATE TABLE mirror_role (\n"
        "    r bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,\n"
        "    f integer NOT NULL,\n"
        "    n smallint NOT NULL\n"
        ");\n"
    )


@pytest.mark.parametrize(
    ("taken", "tables", "name"),
    [
        ((), (), "a"),
        (("a",), (), "mirror_a"),
        (("current_a",), (), "mirror_a"),
        (("history_a",), (), "mirror_a"),
        ((), ("current_a",), "mirror_a"),
        ((), ("history_a",), "mirror_a"),
        ((), ("a",), "a"),
        (("a", "mirror_a"), (), "mirror_2_a"),
        (("a", "mirror_a", "mirror_2_a"), ("current_mirror_3_a",), "mirror_4_a"),
    ],
)
def test_table_has_a_name_that_is_free(taken: tuple[str, ...], tables: tuple[str, ...], name: str) -> None:
    assert warehouse_name("a", taken, tables) == name
    long = "x" * 63
    assert all(len(each) <= 63 for each in relation_names(long)) and len(set(relation_names(long))) == 3
