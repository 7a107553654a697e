"""Where a warehouse enforces other requirements than its declaration has: one sentence each, in the columns' order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.references.requirements import any_unmet, declared, differences
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from tests.support.sample_star import DECLARED, REFERRING

REFERENCE = ["public", "dim_product", ["product_id"], ["product_id"]]
ANOTHER = ["public", "dim_other", ["product_id"], ["id"]]


def found(
    references: list[Any], not_null: list[str], *, is_duckdb: bool = False, schemas: SchemaNames = LIVE
) -> list[str]:
    """The differences where the fact has these foreign keys and NOT NULL; the dimension is as declared."""

    def rows(query: str, relation: str) -> list[Any]:
        if "dim_product" in relation:
            return [] if "conrelid" in query else [[column, False] for column in ("product_id", "name")]
        return references if "conrelid" in query else [[column, False] for column in not_null]

    connection: Any = SimpleNamespace(is_duckdb=is_duckdb, rows=rows)
    return differences(connection, REFERRING, schemas)


REQUIRED = ["order_record", "order_id", "product_id"]


@pytest.mark.parametrize(
    ("references", "not_null", "expected"),
    [
        ([REFERENCE], REQUIRED, []),
        ([], REQUIRED, ["foreign key (product_id) to dim_product is missing"]),
        (
            [ANOTHER],
            REQUIRED,
            [
                "foreign key (product_id) to dim_other is not declared",
                "foreign key (product_id) to dim_product is missing",
            ],
        ),
        ([REFERENCE], ["order_id"], ["column product_id is nullable, expected NOT NULL"]),
        ([REFERENCE], [*REQUIRED, "amount"], ["column amount is NOT NULL, expected nullable"]),
        (
            [],
            ["product_id", "amount"],
            [
                "column amount is NOT NULL, expected nullable",
                "column order_id is nullable, expected NOT NULL",
                "foreign key (product_id) to dim_product is missing",
            ],
        ),
        ([REFERENCE], [*REQUIRED, "note"], ["column note is NOT NULL, expected nullable"]),
    ],
)
def test_each_difference_is_a_sentence(references: list[Any], not_null: list[str], expected: list[str]) -> None:
    assert found(references, not_null) == [f"table fact_order: {sentence}" for sentence in expected]


def test_differences_are_those_of_typed_declarations_on_a_server() -> None:
    """A file enforces nothing, and a declaration without types does not say what it expects."""
    assert found([], [], is_duckdb=True) == []
    connection: Any = SimpleNamespace(is_duckdb=False, rows=lambda *_, **__: [])
    assert differences(connection, DECLARED) == []
    shadow = SchemaNames.shadow("check")
    [sentence] = found([["check", *REFERENCE[1:]]], ["order_id"], schemas=shadow)
    assert sentence == "table check.fact_order: column product_id is nullable, expected NOT NULL"


def test_a_row_that_nothing_is_required_of_meets_it() -> None:
    assert str(any_unmet([])) == "false"
    conditions = [str(entry.unmet) for entry in declared(LIVE, REFERRING.warehouse["fact_order"])]
    assert str(any_unmet(declared(LIVE, REFERRING.warehouse["fact_order"]))) == " OR ".join(conditions)
    assert len(conditions) == 3
