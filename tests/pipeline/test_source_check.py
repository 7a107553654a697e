"""What ``plan`` says of a source whose URL is in the environment: what extract would refuse, and what changed there."""

from __future__ import annotations

import dataclasses
import socket
from urllib.parse import quote

import pytest

from lambda_script import AwsError
from lambda_toolkit.aws import Aws
from lambda_toolkit.pipeline.client.sources.source import SourceCheck, check_source
from lambda_toolkit.pipeline.client.sources.source_review import FirstLoad
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.load import load
from tests.support.pipeline import READER_PASSWORD
from tests.support.repository import CONFIG

BUCKETS = 'ingestion = "{name}-{stage}-ingestion-{account}"'


@pytest.fixture
def look(emulated_aws, pipeline, credentials, tmp_path):
    """Looks at the source of ``pipeline``, whose batches are in its bucket."""
    config = tmp_path / "config"
    config.mkdir()
    for file in ("warehouse.sql", "requirements.lock"):
        (config / file).write_bytes((CONFIG / file).read_bytes())
    text = (CONFIG / "pipeline.toml").read_text(encoding="utf-8")
    (config / "pipeline.toml").write_text(text.replace(BUCKETS, 'ingestion = "ingestion"'), encoding="utf-8")
    aws = Aws(region="eu-west-2")

    def look(**changed) -> SourceCheck:
        of = dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD, **changed)
        url = f"postgresql://{of.user}:{quote(of.password)}@{of.host}:{of.port}/{of.database}"
        return check_source(Target(load(config / "pipeline.toml", None, {}), {"SOURCE_DATABASE_URL": url}, False), aws)

    return look


def test_sound_source_has_a_first_load_and_no_problems(pipeline, look):
    pipeline.admin.run("ANALYZE")
    rows = sum(pipeline.admin.rows(f"SELECT count(*) FROM {name}")[0][0] for name in pipeline.declarations.source)
    found = look()
    assert found.problems == ()
    assert found.notes == (f"the first load has about {rows:,} rows: 1 batch, and about 1 minute of work",)


def test_every_problem_of_a_source_is_named_together(pipeline, look):
    """A missing table, columns, rights, keys, types: each as extract would refuse it, with what would serve."""
    pipeline.admin.run("""
        ALTER TABLE payment DROP CONSTRAINT payment_pkey;
        ALTER TABLE sales_order ALTER COLUMN units_sold TYPE boolean USING true;
        ALTER TABLE design DROP COLUMN file_name;
        ALTER TABLE currency RENAME TO currencies;
        ALTER TABLE staff RENAME TO people; CREATE VIEW staff AS SELECT * FROM people;
        REVOKE SELECT ON department FROM reader; GRANT SELECT (department_id) ON department TO reader;
        GRANT SELECT ON staff, currencies TO reader""")
    problems = "\n".join(look().problems)
    for words in (
        "The source has no table currency, which [source.currency] declares. Is currencies meant?",
        "The source table design lacks the column file_name, which the warehouse needs.",
        "The source table staff: It is a view: PostgreSQL does not show which of its rows changed.",
        "The source table department: this user may not read the columns department_name, location,",
        "The key payment_id does not identify the rows of the source table payment",
        "The source column sales_order.units_sold (boolean) cannot be stored in fact_sales_order.units_sold",
    ):
        assert words in problems
    assert "xtracted" not in problems


def test_changes_since_the_last_batch_are_named(pipeline, look):
    """A new and a dropped column are notes; another type of a needed column is a problem with its remedy."""
    pipeline.extract()
    assert not any("first load" in note for note in look().notes)
    pipeline.admin.run("""
        ALTER TABLE payment ADD COLUMN memo text; ALTER TABLE payment ALTER COLUMN payment_date TYPE date
            USING payment_date::date;
        ALTER TABLE address DROP COLUMN created_at;
        CREATE TABLE refund (refund_id integer PRIMARY KEY); GRANT SELECT ON refund TO reader""")
    found = look()
    notes = "\n".join(found.notes)
    assert "The source column payment.memo (text) is new. It is ingested; the warehouse is not affected" in notes
    assert "The source column address.created_at (timestamp(3) without time zone) was dropped" in notes
    assert "the source also has refund, which no [source.<table>] declares" in notes
    assert [problem for problem in found.problems if "accept_types" in problem] == [
        "The source column payment.payment_date was of type character varying and is now date. Change it back; or, "
        "when the warehouse's column can hold the new type, invoke extract once with the event "
        '{"accept_types": ["payment.payment_date"]}.'
    ]


def test_bucket_that_may_not_be_read_is_a_note(pipeline, look, monkeypatch):
    pipeline.extract()
    call = Aws.call

    def denied(self, service, operation, **request):
        if operation == "list_objects_v2":
            raise AwsError("no", code="AccessDenied")
        return call(self, service, operation, **request)

    monkeypatch.setattr(Aws, "call", denied)
    assert look() == SourceCheck(
        notes=("the source was not compared with the last batch: s3://ingestion may not be read",)
    )


def test_source_that_does_not_answer_is_a_note(look):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    unreached = look(port=port)
    assert unreached.problems == ()
    [note] = unreached.notes
    assert note.startswith("the source was not checked: ")
    assert READER_PASSWORD not in note


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (0, "about 0 rows: 1 batch, and about 1 minute of work"),
        (12_000_001, "about 12,000,001 rows: 13 batches, and about 4 minutes of work"),
    ],
)
def test_first_load_grows_with_the_rows(rows, words):
    assert str(FirstLoad(rows, ())) == f"the first load has {words}"
    assert "and those of a and b, which were never analyzed" in str(FirstLoad(rows, ("a", "b")))


def test_expressions_that_do_not_fit_the_source_are_named(pipeline, look, tmp_path):
    """What the text alone does not show: plan says it of each column and filter, with the place in the text."""
    path = tmp_path / "config" / "pipeline.toml"
    text = path.read_text(encoding="utf-8")
    assert text.count('first_name = "first_name"') == 1
    text = text.replace('first_name = "first_name"', 'first_name = "upper(staff_id)"')
    text = text.replace("[warehouse.dim_staff]\n", '[warehouse.dim_staff]\nwhere = "first_name"\n')
    path.write_text(text, encoding="utf-8")
    assert look().problems == (
        "The filter of dim_staff, where = 'first_name', cannot be computed: the filter needs a boolean, not character "
        "varying (at character 1).",
        "The column dim_staff.first_name = 'upper(staff_id)' cannot be computed: there is no function upper for "
        "integer: it takes text (at character 1).",
    )
