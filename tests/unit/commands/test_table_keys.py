"""Every table of keys is in the file, and the page and the schema that are written down are made of them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.config.schema import (
    function_keys,
    reference,
    resource_keys,
    scale_keys,
    schedule_keys,
    secret_table,
    table_keys,
    trigger_keys,
)
from lambda_toolkit.pipeline.config.schema.function_keys import CANARY, FUNCTION
from lambda_toolkit.pipeline.config.schema.resource_keys import ALARM, PIPELINE
from lambda_toolkit.pipeline.config.schema.table_keys import SOURCE, WAREHOUSE


@pytest.mark.parametrize("path", [reference.PAGE_PATH, reference.SCHEMA_PATH], ids=lambda path: path.suffix)
def test_the_files_are_made_of_the_keys(path: Path) -> None:
    text = reference.page() if path == reference.PAGE_PATH else reference.schema_text()
    assert path.read_text(encoding="utf-8") == text, "run: python -m lambda_toolkit.pipeline.config.schema.reference"


def test_module_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the folder that it runs in."""
    written = {path: path.read_bytes() for path in (reference.PAGE_PATH, reference.SCHEMA_PATH)}
    for path in written:
        (tmp_path / path).parent.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, reference.__name__)
    runpy.run_module(reference.__name__, run_name="__main__")
    assert {path: path.read_bytes() for path in written} == written


def test_every_table_that_is_declared_is_in_the_file() -> None:
    """With every key: of the functions, also those that they have in common with other tables."""
    found = {table.path for table in reference.tables()}
    modules = (
        *(
            function_keys.PACKAGES,
            function_keys.VPC,
            function_keys.FUNCTION_VPC,
            function_keys.TRIGGER,
            CANARY,
            FUNCTION,
        ),
        *(PIPELINE, resource_keys.LIFECYCLE, resource_keys.BUCKET, resource_keys.ALERTS, resource_keys.DASHBOARD),
        *(resource_keys.LAKE, ALARM, schedule_keys.SCHEDULE, secret_table.SECRET),
        *(scale_keys.EXTRACT, scale_keys.TRANSFORM, scale_keys.LOAD, scale_keys.BACKFILL),
        *(SOURCE, table_keys.MIRROR, table_keys.VERSION, WAREHOUSE),
        *(trigger_keys._QUEUE, trigger_keys._STREAM, trigger_keys._EVENT, trigger_keys._URL, trigger_keys._CORS),
    )
    assert {table.path for table in modules} <= found
    shared = (function_keys.PACKAGING, (function_keys.LOCK,), function_keys.SETTINGS, function_keys.LOGGING)
    shared += (schedule_keys.SCHEDULING, trigger_keys.TRIGGERS)
    several = (trigger_keys._FILTERS, trigger_keys._REPORT, trigger_keys._ENABLED, trigger_keys._WINDOW)
    shared += (several, function_keys._NETWORK)
    declared = {key.name for table in modules for key in table.keys}
    assert {key.name for keys in shared for key in keys} <= declared
