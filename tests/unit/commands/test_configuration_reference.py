"""The reference of pipeline.toml: the page, the schema, the reader and the toolkit agree about every key."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_script import Alarm, Canary, Lambda_script
from lambda_toolkit.pipeline.config.schema import reference
from lambda_toolkit.pipeline.config.schema.function_keys import CANARY, FUNCTION
from lambda_toolkit.pipeline.config.schema.key_types import Key, Table
from lambda_toolkit.pipeline.config.schema.keys import FILE
from lambda_toolkit.pipeline.config.schema.resource_keys import ALARM, PIPELINE
from lambda_toolkit.pipeline.config.schema.table_keys import SOURCE, WAREHOUSE
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems, read_table
from lambda_toolkit.pipeline.lambdas.shared.model import declarations

KEYS = [(table, key) for table in reference.tables() for key in table.keys]
OF_THE_PIPELINE = {"source", "reads", "writes", "sweeps", "secret"}  # what Lambda_script does not know by that name
OF_MESSAGES = {"command", "incident", "symptom"}  # what messages say of an alarm, and the toolkit does not know


def test_the_page_has_a_row_for_each_key() -> None:
    page = reference.PAGE_PATH.read_text(encoding="utf-8")
    for table in reference.tables():
        section = page.partition(f"## `[{table.path}]`")[2].partition("\n## ")[0]
        assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == [
            key.name for key in table.keys
        ]


@pytest.mark.parametrize(("table", "key"), KEYS, ids=[f"{table.path}.{key.name}" for table, key in KEYS])
def test_the_reader_takes_each_example_and_refuses_another_type(table: Table, key: Key) -> None:
    assert read_problems(table, key, tomllib.loads(f"value = {key.example}")["value"]) == []
    is_text = "string" in key.type.value and "integer" not in key.type.value
    [problem] = read_problems(table, key, 2**70 if is_text else "a string of no meaning")
    assert f"`{key.name}`" in problem


def read_problems(table: Table, key: Key, value: Any) -> list[str]:
    """The errors that the reader finds in ``table`` where every other required key has its example."""
    values = {other.name: tomllib.loads(f"value = {other.example}")["value"] for other in table.keys if other.required}
    problems = Problems(Path("pipeline.toml"))
    read_table(problems, "x", {**values, key.name: value}, table)
    return list(problems._found)


@pytest.mark.parametrize(
    ("table", "key"),
    [(table, key) for table, key in KEYS if key.required],
    ids=[f"{table.path}.{key.name}" for table, key in KEYS if key.required],
)
def test_required_key_that_is_missing_is_the_only_problem(table: Table, key: Key) -> None:
    values = {other.name: tomllib.loads(f"value = {other.example}")["value"] for other in table.keys if other.required}
    problems = Problems(Path("pipeline.toml"))
    read_table(problems, "x", {name: value for name, value in values.items() if name != key.name}, table)
    assert list(problems._found) == [f"pipeline.toml: [x] lacks the key `{key.name}` ({key.type.value})."]


def test_a_document_of_all_examples_has_no_error() -> None:
    problems = Problems(Path("pipeline.toml"))
    read_table(problems, "", dict(examples(FILE)), FILE)
    problems.raise_all()


def examples(table: Table) -> Iterator[tuple[str, Any]]:
    for key in table.keys:
        if key.example:
            yield key.name, tomllib.loads(f"value = {key.example}")["value"]
        elif key.table:
            values = dict(examples(key.table))
            yield key.name, values if key.type.value == "a table" else {"example": values}


def test_function_keys_and_defaults_equal_lambda_script() -> None:
    """Functions have the names and the defaults of lambda script."""
    parameters = inspect.signature(Lambda_script).parameters
    for key in FUNCTION.keys:
        if key.name not in OF_THE_PIPELINE:
            assert key.name in parameters
            if key.default not in (None, {}, ()):
                assert key.default == parameters[key.name].default
    [retention] = [key for key in PIPELINE.keys if key.name == "log_retention_days"]
    assert retention.default == parameters["log_retention_days"].default


@pytest.mark.parametrize(("table", "made"), [(ALARM, Alarm("a", "m")), (CANARY, Canary())])
def test_alarm_and_canary_keys_and_defaults_equal_the_toolkit(table: Table, made: object) -> None:
    """Alarms and canaries have the names and the defaults of the toolkit."""
    for key in table.keys:
        if key.name not in ("below", *OF_MESSAGES):
            assert hasattr(made, key.name)
            assert key.default is None or key.default == getattr(made, key.name)


def test_tables_have_the_keys_that_the_functions_read() -> None:
    read = {key for needed, allowed in declarations._KEYS.values() for key in needed | allowed}
    assert {key.name for key in WAREHOUSE.keys} == read - {"types", "references"}, "the deployment writes these two"
    source = {"t": {key.name: tomllib.loads(f"v = {key.example}")["v"] for key in SOURCE.keys}}
    calendar = {"kind": "calendar", "key": "date_id"}
    assert declarations.parse({"source": source, "warehouse": {"dim_date": calendar}}).source["t"].by_content
