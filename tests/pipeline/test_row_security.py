"""Tables of which policies show extract a part: rows appear and disappear there with no row written."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from lambda_toolkit.pipeline.lambdas.extract.capture import by_content
from lambda_toolkit.pipeline.lambdas.extract.source import reader
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import NEVER
from tests.support.lake_contents import keys, manifest


def secure(pipeline, condition: str) -> None:
    pipeline.admin.run(
        "ALTER TABLE payment ENABLE ROW LEVEL SECURITY; DROP POLICY IF EXISTS p ON payment;"
        f" CREATE POLICY p ON payment USING ({condition})"
    )


def test_policies_that_change_are_followed_row_by_row(pipeline):
    """A policy that hides as many rows as it shows, one that reads another table, and roles that it does not bind."""
    pipeline.run()
    secure(pipeline, "payment_id <= 5")
    done, _ = pipeline.run()
    assert (done.rows, done.deleted) == ({"payment": 5}, {"payment": 4})
    assert pipeline.run()[0].batch is None
    assert manifest(pipeline.ingestion, 2).tables["payment"].by_content
    secure(pipeline, "payment_id BETWEEN 3 AND 7")
    done, _ = pipeline.run()
    assert (done.rows, done.deleted) == ({"payment": 2}, {"payment": 2})
    assert (keys(pipeline.ingestion, 3, "payment"), keys(pipeline.ingestion, 3, "payment", "deleted")) == (
        [6, 7],
        [1, 2],
    )
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id IN (2, 3)")
    assert pipeline.run()[0].rows == {"payment": 1}
    pipeline.admin.run(
        "CREATE TABLE shown (id int); INSERT INTO shown VALUES (1), (3); GRANT SELECT ON shown TO reader"
    )
    secure(pipeline, "payment_id IN (SELECT id FROM shown)")
    assert pipeline.run()[0].deleted == {"payment": 4}
    pipeline.admin.run("UPDATE shown SET id = 2 WHERE id = 3")  # as many rows, and no row of payment written
    done, _ = pipeline.run()
    assert (done.rows, done.deleted) == ({"payment": 1}, {"payment": 1})
    pipeline.admin.run("ALTER TABLE payment DISABLE ROW LEVEL SECURITY")
    assert pipeline.run()[0].rows == {"payment": 9}
    assert pipeline.run()[0].batch is None
    present = pipeline.rows("SELECT payment_id, paid FROM current_fact_payment ORDER BY 1")
    assert present == pipeline.admin.rows("SELECT payment_id, paid FROM payment ORDER BY 1")


def test_owner_is_bound_only_where_it_is_forced(pipeline):
    """Whether policies bind is a question of the user, too: the same table, read by the one whom they do not bind."""
    secure(pipeline, "payment_id <= 5")
    assert pipeline.run()[0].rows["payment"] == 5
    pipeline.reader = pipeline.admin
    assert pipeline.run()[0].rows == {"payment": 9}
    assert not manifest(pipeline.ingestion, 2).tables["payment"].by_content
    assert pipeline.run()[0].batch is None


def test_deletes_before_a_policy_are_found_unless_never(pipeline, monkeypatch):
    """A row written since keys were last compared, and deleted when policies come, was no key of any key file."""
    monkeypatch.setattr(by_content, "NAMED_KEYS", 2)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 200)
    source = pipeline.declarations.source

    def declare(deletes) -> None:
        payment = dataclasses.replace(source["payment"], deletes=deletes)
        pipeline.declarations = dataclasses.replace(pipeline.declarations, source={**source, "payment": payment})

    declare(timedelta(days=1))
    pipeline.extract()
    pipeline.admin.run("UPDATE payment SET payment_id = 20 WHERE payment_id = 9")
    assert pipeline.extract().rows == {"payment": 1}
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 20")
    secure(pipeline, "true")
    assert pipeline.extract().deleted == {"payment": 2}
    assert keys(pipeline.ingestion, 3, "payment", "deleted") == [9, 20]
    declare(NEVER)
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 8")
    assert pipeline.extract().batch is None
