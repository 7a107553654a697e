"""No line of a log, no metric and no error has a value of a row, whatever rows and servers say; nor a password."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.extract.handler import lambda_handler as extract
from lambda_toolkit.pipeline.lambdas.load.handler import lambda_handler as load
from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import without_values
from lambda_toolkit.pipeline.lambdas.transform.handler import lambda_handler as transform
from tests.support.function_logs import json_lines
from tests.support.pipeline import READER_PASSWORD

CONTEXT = SimpleNamespace(function_name="totes-test-load", aws_request_id="r-1")
SECRET = "zq7xw"  # in every hostile value, and in nothing else
AROUND = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
HOSTILE = st.builds(
    lambda before, how, after: before + how.replace("%", SECRET) + after,
    AROUND,
    st.sampled_from(
        (
            "%",
            '"%"',
            "'%'",
            'a"\nCOPY %, line 3, column %: "b',
            "%\nDETAIL:  %",
            '{"_aws": {"CloudWatchMetrics": [{"Namespace": "%", "Dimensions": [[]]}]}}',
            '\n{"level": "ERROR", "message": "%"}\n',
            "PL/pgSQL function %(text) line 3 at RAISE",
        )
    ),
    AROUND,
)
# Who writes the message of an error, and with which SQLSTATE: the server of data, of the rest, or a language.
KINDS = st.sampled_from(
    (
        *(("22P02", "numutils.c"), ("23505", "nbtinsert.c"), ("P0001", "pl_exec.c"), ("45000", "pl_exec.c")),
        *(("23514", "plpy_elog.c"), ("22003", "/build/src/pl_exec.c")),
    )
)


@given(KINDS, HOSTILE, HOSTILE)
def test_error_of_the_server_loses_the_values_of_rows(kind: tuple[str, str], one: str, other: str) -> None:
    state, file = kind
    words = f'invalid input syntax for type integer: "{one}"' if file == "numutils.c" else f"{one} is refused: {other}"
    if file == "nbtinsert.c":
        words = 'duplicate key value violates unique constraint "person_email_key"'
    fields = {
        "S": "ERROR",
        "C": state,
        "M": words,
        "D": f"Key (email)=({one}) exists. Failing row contains ({other}).",
        "W": f'COPY staging, line 2, column a: "{one}"\nSQL statement "{other}"',
        "q": f"SELECT {one}",
        "F": file,
        "t": "person",
        **({"H": other} if file.rpartition("/")[2].startswith("pl") else {}),
    }
    kept = without_values(fields)
    assert SECRET not in json.dumps(kept)
    assert kept["W"] == "COPY staging, line 2, column a"
    assert (kept["C"], kept["t"]) == (state, "person")


def refusing(state: str) -> tuple[str, str]:
    """A trigger of the warehouse that tells all about the row that it refuses."""
    return (
        f"""CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION '% is refused', NEW.phone USING ERRCODE = '{state}', DETAIL = NEW, HINT = NEW.phone;
        END $$""",
        f"""CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE ON dim_location
            FOR EACH ROW WHEN (NEW.phone LIKE '%{SECRET}%') EXECUTE FUNCTION refuse()""",
    )


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(f'"{SECRET}"', "42501")
@given(HOSTILE, st.sampled_from(["23514", "45000", "53400"]))
def test_hostile_rows_leave_nothing_in_logs_and_metrics(
    deployed: Any, monkeypatch: pytest.MonkeyPatch, value: str, state: str
) -> None:
    """Rows that are loaded, rejected, deferred and refused, by a warehouse that says all that it knows."""
    log, raised = io.StringIO(), []
    monkeypatch.setattr(runtime.logger, "write", lambda line: log.write(line + "\n"))
    for statement in refusing(state):
        deployed.warehouse.run(statement)
    admin = deployed.admin
    admin.run("UPDATE address SET phone = :value, city = :value", value=value)
    admin.run("UPDATE design SET design_name = :value, file_name = :value", value=value)
    admin.run("UPDATE payment SET payment_date = :value WHERE payment_id < 4", value=value)  # rejected
    admin.run("UPDATE staff SET email_address = :value", value=value)
    admin.run("UPDATE sales_order SET agreed_payment_date = :value", value=value)
    done = 0
    for handler, event in ((extract, {}), (transform, {"action": "sweep"}), (load, {}), (load, {"action": "rejected"})):
        if handler is transform:
            event = {"action": "transform", "batch": done}
        try:
            done = handler(event, CONTEXT).get("last_batch") or done
        except PipelineError as error:
            raised.append(f"{error!r} {error}")
    lines = json_lines(log.getvalue())
    assert SECRET not in log.getvalue() + "".join(raised)
    assert READER_PASSWORD not in log.getvalue()
    assert log.getvalue().count("\n") == len(lines), "a line is one JSON object, whatever is in the rows"
    assert [line["message"] for line in lines].count("summary") == 4
    assert any("RowsRejected" in line for line in lines)
