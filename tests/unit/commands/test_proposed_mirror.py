"""How a mirror follows its source: columns that are new, removed, back again, wider; and what it says of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lambda_toolkit.pipeline.config.mirror import Mirror, MirrorColumn, MirrorTable
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, Table
from lambda_toolkit.pipeline.proposal.mirror import mirrored, without_alterations

ID = Column("id", "integer", "integer", True)
KNOWN = MirrorTable(
    *("film", "film", ("id",), "film_record_id"),
    (
        MirrorColumn("id", "id", "integer", True),
        MirrorColumn("title", "title", "character varying(20)", False),
        MirrorColumn("rate", "rate", "integer", True),
        MirrorColumn("old", "old", "text", False, dropped=True),
    ),
)
SAME = (ID, Column("title", *("character varying(20)",) * 2, False), Column("rate", "integer", "integer", True))


def followed(*columns: Column, known: MirrorTable = KNOWN, **changed: Any) -> tuple[MirrorTable, list[str]]:
    """The table as it is mirrored when the source has these columns; what is said."""
    table = Table(*("film", "r"), columns, ("id",), (("id",),), **changed)
    made = mirrored(Catalog((table,), {}), ["*"], {}, (), Mirror((known,)))
    [found] = made.mirror.tables
    return found, made.changes


def test_unchanged_source_changes_nothing() -> None:
    assert followed(*SAME) == (KNOWN, [])


def column(name: str, kind: str, *, required: bool = False) -> Column:
    return Column(name, kind, kind, required)


@pytest.mark.parametrize(
    ("columns", "changed", "says"),
    [
        (
            (*SAME, column("more", "date")),
            {"more": MirrorColumn("more", "more", "date", False)},
            "film.more (date) is a new column of the source: prepare --alter adds more (date) to film, and earlier "
            "versions have NULL there.",
        ),
        (
            (*SAME, column("old", "text")),
            {"old": MirrorColumn("old", "old", "text", False)},
            "film.old (text) is a new column of the source: prepare --alter adds old (text) to film, and earlier "
            "versions have NULL there.",
        ),
        (
            (ID, column("title", "text"), SAME[2]),
            {"title": MirrorColumn("title", "title", "text", False)},
            "film.title is text in the source now: prepare --alter makes film.title text.",
        ),
        (
            (*SAME[:2], column("rate", "integer")),
            {"rate": MirrorColumn("rate", "rate", "integer", False)},
            "film.rate may be NULL in the source now: prepare --alter lets film.rate be NULL.",
        ),
        (
            SAME[:2],
            {"rate": MirrorColumn("rate", "rate", "integer", False, dropped=True)},
            "film.rate is no column of the source any more: film.rate stays for the earlier versions, and is NULL in "
            "later ones; prepare --alter lets it be NULL.",
        ),
        (
            (ID, SAME[2]),
            {"title": MirrorColumn("title", "title", "character varying(20)", False, dropped=True)},
            "film.title is no column of the source any more: film.title stays for the earlier versions, and is NULL in "
            "later ones.",
        ),
        ((ID, column("title", "character varying(10)"), SAME[2]), {}, None),
        ((*SAME[:2], column("rate", "smallint", required=True)), {}, None),
    ],
)
def test_column_follows_the_source(
    columns: tuple[Column, ...], changed: dict[str, MirrorColumn], says: str | None
) -> None:
    found, said = followed(*columns)
    expected = {each.name: each for each in KNOWN.columns} | changed
    assert {each.name: each for each in found.columns} == expected
    assert said == ([] if says is None else [says])


def test_column_of_another_type_is_a_new_one_beside_the_old() -> None:
    found, said = followed(*SAME, column("old", "date"))
    assert found.columns[:4] == KNOWN.columns
    new = found.columns[4]
    assert (new.source, new.type, new.dropped) == ("old", "date", False) and new.name != "old"
    assert len(said) == 1 and f"adds {new.name} (date)" in said[0]
    found, said = followed(ID, SAME[1], column("rate", "text", required=True))
    assert found.columns[2] == MirrorColumn("rate", "rate", "integer", False, dropped=True)
    assert (found.columns[4].source, found.columns[4].type) == ("rate", "text")
    assert said[0].startswith("film.rate is text in the source now, and film.rate is integer: film.rate stays")


@pytest.mark.parametrize(("kind", "follows"), [("bigint", True), ("smallint", True), ("text", False)])
def test_key_of_another_kind_is_not_followed(kind: str, follows: bool) -> None:
    found, said = followed(column("id", kind, required=True), *SAME[1:], column("more", "date"))
    assert (found != KNOWN) is follows
    if not follows:
        assert said == [
            "id of film, which identifies its versions, is not what it was: the mirror does not follow. To begin again "
            "with the key of today: rename the warehouse's table film, remove film from config/mirror.json, and "
            "prepare."
        ]


def test_alterations_wait_and_the_rest_does_not() -> None:
    wider, _ = followed(ID, column("title", "text"), SAME[2])
    more, _ = followed(*SAME, column("more", "date"))
    fewer, _ = followed(ID, SAME[2])
    before, other = Mirror((KNOWN,)), MirrorTable("a", "a", ("id",), "r", ())
    assert without_alterations(Mirror((wider, other)), before) == Mirror((KNOWN, other))
    assert without_alterations(Mirror((more,)), before) == before
    assert without_alterations(Mirror((fewer,)), before) == Mirror((fewer,))


def test_tables_that_the_patterns_mean_are_mirrored_alone() -> None:
    tables = tuple(Table(name, "r", SAME, ("id",), (("id",),)) for name in ("audit_a", "shop", "staff"))
    made = mirrored(Catalog(tables, {}), ["s*", "!staff"], {}, (), None)
    assert [table.name for table in made.mirror.tables] == ["shop"]
    assert made.changes == []


def plain(name: str, *columns: Column, **more: Any) -> Table:
    return Table(name, "r", (ID, *columns), **{"primary_key": ("id",), "unique_keys": (("id",),), **more})


def named(*names: str, taken: tuple[str, ...] = (), previous: Mirror | None = None) -> dict[str, str]:
    made = mirrored(Catalog(tuple(map(plain, names)), {}), ["*"], {}, taken, previous)
    return {table.source: table.name for table in made.mirror.tables}


def test_new_table_has_its_own_name_unless_a_view_has_it() -> None:
    assert named("shop", "film", "current_film") == {
        "current_film": "current_film",
        "film": "mirror_film",
        "shop": "shop",
    }
    assert list(named("b", "a", "c")) == ["a", "b", "c"], "by the names of the source"
    assert named("film", taken=("current_film",)) == {"film": "mirror_film"}
    assert named("current_film", taken=("film", "current_film")) == {"current_film": "current_film"}
    before = Mirror((replace(KNOWN, source="a", name="film"),))
    assert named("a", "film", previous=before) == {"a": "film", "film": "mirror_film"}
    assert named("a", "history_film", previous=before) == {"a": "film", "history_film": "mirror_history_film"}


def test_new_table_is_a_change_of_a_mirror_that_was_there() -> None:
    new = Catalog((plain("b", column("_batch", "text", required=True), column("record_number", "money")),), {})
    first, later = (mirrored(new, ["*"], {}, (), previous) for previous in (None, Mirror()))
    assert (first.changes, later.changes) == ([], ["b is a new table of the source: prepare creates b."])
    columns = (
        MirrorColumn("id", "id", "integer", True),
        MirrorColumn("_batch_2", "_batch", "text", True),
        MirrorColumn("record_number", "record_number", "text", False),
    )
    made = Mirror((MirrorTable("b", "b", ("id",), "record_number_2", columns),))
    assert first.mirror == later.mirror == made and first.notes == later.notes == []


KEYLESS: list[Any] = [None, {}, {"key": []}, {"key": 5}, {"key": {"a": 1}}, "content", []]
VIEW = Table("v", "v", (ID, column("n", "text")), unique_keys=(("id", "n"),))


@pytest.mark.parametrize(
    ("table", "entry", "key"),
    [
        (plain("v"), None, ("id",)),
        (plain("v"), {"key": "a"}, ("a",)),
        (plain("v"), {"key": ["b", "a"]}, ("b", "a")),
        *((plain("v"), entry, ("id",)) for entry in KEYLESS),
        *((VIEW, entry, None) for entry in [*KEYLESS, {"compare": "transactions"}]),
        (VIEW, {"compare": "content", "key": "n"}, ("n",)),
        (replace(VIEW, columns=()), {"compare": "content"}, None),
        (replace(VIEW, columns=(ID, replace(ID, name="n", readable=False))), {"compare": "content"}, None),
        (plain("v", *(column(f"c{number}", "text") for number in range(1598))), None, ("id",)),
        (plain("v", *(column(f"c{number}", "text") for number in range(1599))), None, None),
    ],
)
def test_table_is_mirrored_by_the_key_that_is_declared(table: Table, entry: Any, key: tuple[str, ...] | None) -> None:
    """A view is, where every run reads all of it; a table of 1600 columns is not, as the mirror adds one."""
    made = mirrored(Catalog((table, plain("w")), {}), ["*"], {} if entry is None else {"v": entry}, (), None)
    assert [(each.source, each.key) for each in made.mirror.tables] == [*([("v", key)] if key else []), ("w", ("id",))]
    assert [note.partition(".")[0] for note in made.notes] == ([] if key else ["v cannot be mirrored"])


def test_table_that_is_not_mirrored_any_more_is_named() -> None:
    before = Mirror(tuple(replace(KNOWN, source=name, name=f"m_{name}") for name in ("a", "b", "c", "d")))
    tables = (plain("a", *SAME[1:]), replace(plain("b"), unique_keys=()), plain("d"))
    made = mirrored(Catalog(tables, {}), ["*", "!d", "x*", "!y"], {}, (), before)
    assert made.mirror.tables == before.tables[:2], "b may be read again"
    assert made.changes == [
        "c is no table of the source any more: m_c and its views stay in the warehouse as they are.",
        "d is not mirrored any more: m_d stays in the warehouse as it is.",
    ]
    unreadable, unused = made.notes
    assert unreadable.startswith("b cannot be mirrored. It has neither a primary key")
    assert unused == 'The pattern "x*" in [warehouse] `mirror` means no table.'


def test_column_gets_wider_and_nullable_together() -> None:
    found, said = followed(ID, SAME[1], column("rate", "bigint"))
    assert found.columns[2] == MirrorColumn("rate", "rate", "bigint", False)
    assert [text.partition(":")[0] for text in said] == [
        *("film.rate is bigint in the source now", "film.rate may be NULL in the source now"),
    ]
    found, said = followed(ID, SAME[1], column("rate", "smallint"))
    assert found.columns[2] == MirrorColumn("rate", "rate", "integer", False) and len(said) == 1


def test_key_that_the_source_has_no_more_is_named() -> None:
    known = replace(KNOWN, key=("id", "title", "old"))
    assert followed(*SAME, column("old", "date"), known=known)[1][0].startswith("film.old (date) is a new column")
    found, said = followed(ID, column("title", "date"), known=known)
    assert found == known and said[0].startswith("title and old of film, which identifies its versions, is not what")
    again = replace(KNOWN, columns=(*KNOWN.columns, replace(KNOWN.columns[3], name="old_2", type="date")))
    found, said = followed(*SAME, column("old", "date"), known=again)
    assert found.columns[3:] == (KNOWN.columns[3], MirrorColumn("old_2", "old", "date", False))
