"""How a mirror follows its source: columns that are new, removed, back again, wider; and what it says of each."""

from __future__ import annotations

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
def test_column_follows_the_source(columns, changed, says) -> None:
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
