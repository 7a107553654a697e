"""Expressions give what PostgreSQL gave: its values are recorded, so this needs no server and takes a second."""

from __future__ import annotations

from tests.expressions import recorded


def test_every_expression_gives_what_was_recorded() -> None:
    given, known = recorded.rows(), recorded.recorded()
    assert len(known) > 900
    for text, expected in known.items():
        assert (text, *recorded.computed(text, given)) == (text, *expected)
