"""``init``: what it writes deploys as it is, and it overwrites nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.pipeline.config.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.lambdas.shared.declarations import parse

ACCOUNT = "123456789012"


def init(directory: Path) -> tuple[int, str]:
    result = CliRunner().invoke(deploy.main, ["init", str(directory)])
    return result.exit_code, result.output


def test_what_it_writes_can_be_deployed(tmp_path: Path) -> None:
    assert init(tmp_path / "crm")[0] == 0
    pipeline = load(tmp_path / "crm" / "config" / "pipeline.toml")
    assert pipeline.name == "crm"
    declared = deployment(pipeline, ACCOUNT, {})
    assert [spec.name for spec in declared.functions] == ["crm-dev-extract", "crm-dev-transform", "crm-dev-load"]
    handlers = {build(spec).handler for spec in declared.functions}
    assert handlers == {f"lambdas.{name}.handler.lambda_handler" for name in ("extract", "transform", "load")}
    assert "totes" not in (tmp_path / "crm" / "config" / "pipeline.toml").read_text(encoding="utf-8")


def test_its_tables_are_declared_as_the_functions_read_them(tmp_path: Path) -> None:
    init(tmp_path / "crm")
    pipeline = load(tmp_path / "crm" / "config" / "pipeline.toml")
    declarations = parse(pipeline.tables)
    assert list(declarations.warehouse) == ["dim_date", "dim_customer", "fact_purchase"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    config = tmp_path / "crm" / "config"
    config.mkdir(parents=True)
    (config / "warehouse.sql").write_text("-- mine", encoding="utf-8")
    code, output = init(tmp_path / "crm")
    assert code == 1
    assert "warehouse.sql exists, and nothing is overwritten" in output
    assert (config / "warehouse.sql").read_text(encoding="utf-8") == "-- mine"
    assert not (config / "pipeline.toml").exists()


def test_a_folder_whose_name_aws_refuses_is_refused(tmp_path: Path) -> None:
    code, output = init(tmp_path / "2nd")
    assert code == 1
    assert "AWS does not accept `2nd`" in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--orders", "3"], "describes another source. Start it empty"),
        (["run"], "This simulates activity in totesys"),
        (["simulate"], "This simulates activity in totesys"),
    ],
)
def test_a_source_of_ones_own_is_not_filled_with_totesys(tmp_path: Path, arguments: list[str], says: str) -> None:
    init(tmp_path / "crm")
    config = str(tmp_path / "crm" / "config" / "pipeline.toml")
    result = CliRunner().invoke(deploy.main, ["local", *arguments, "--config", config])
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "crm" / ".local").exists(), "nothing was started"


def test_its_settings_are_those_of_this_repository(tmp_path: Path) -> None:
    """Two files say the same: config/pipeline.toml, and the template that init fills in."""
    init(tmp_path / "totes")
    written = tomllib.loads((tmp_path / "totes" / "config" / "pipeline.toml").read_text(encoding="utf-8"))
    shipped = tomllib.loads(Path("config/pipeline.toml").read_text(encoding="utf-8"))
    for tables in ("source", "warehouse"):
        written.pop(tables)
        shipped.pop(tables)
    assert written == shipped
