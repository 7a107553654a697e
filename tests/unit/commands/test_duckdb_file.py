"""``[warehouse] engine = "duckdb"``: what is read of it, what the embedded stack makes of it, and what AWS refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.client import target as targets
from lambda_toolkit.pipeline.client.target import Target, local_target, refuse_file
from lambda_toolkit.pipeline.client.warehouses.file_reader import FileReader
from lambda_toolkit.pipeline.client.warehouses.reader import warehouse_of
from lambda_toolkit.pipeline.commands.plan import EVERYTHING
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.database_url import credentials, secret_value
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError, ConfigurationError
from lambda_toolkit.pipeline.local_stack.description import Stack
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.stack import _set_aside
from tests.support.repository import CONFIG

DATABASE = Database("127.0.0.1", 1, "d", "u", "p")


def declared(root: Path, more: str) -> Path:
    shutil.copytree(CONFIG, root / "config")
    path = root / "config" / "pipeline.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{more}\n", encoding="utf-8")
    return path


def stack(root: Path) -> Stack:
    endpoint = "http://127.0.0.1:1"
    return Stack(root, endpoint, "eu-west-2", "0" * 12, "local", "secret", DATABASE, DATABASE, DATABASE, {})


def test_file_is_relative_to_the_project(tmp_path):
    path = declared(tmp_path, '[warehouse]\nengine = "duckdb"\npath = "out/w.duckdb"')
    found = load(path)
    assert found.warehouse_file == tmp_path / "out" / "w.duckdb"
    path.write_text(path.read_text(encoding="utf-8").replace('"out/w.duckdb"', '"/out/w.duckdb"'), encoding="utf-8")
    assert load(path).warehouse_file == Path("/out/w.duckdb"), "unless it is absolute"
    assert "engine" not in found.tables["warehouse"]
    assert load(CONFIG / "pipeline.toml").warehouse_file is None


def test_file_is_below_local_unless_named_and_of_one_stage(tmp_path):
    path = declared(tmp_path, '[stages.local.warehouse]\nengine = "duckdb"')
    assert load(path, "local").warehouse_file == tmp_path / ".local" / "warehouse.duckdb"
    assert load(path).warehouse_file is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('path = "w.duckdb"', 'it needs `engine = "duckdb"`'),
        ('engine = "duckdb"\npath = "folder/"', "`path` must be the name of a file"),
        ('engine = "sqlite"', "sqlite"),
    ],
)
def test_keys_that_contradict_are_reported(tmp_path, more, said):
    with pytest.raises(ConfigurationError, match=said):
        load(declared(tmp_path, f"[warehouse]\n{more}"))


def test_plan_on_aws_refuses_a_file_with_a_sentence(tmp_path):
    pipeline = load(declared(tmp_path, '[warehouse]\nengine = "duckdb"'))
    with pytest.raises(CommandError, match="a Lambda function cannot write to a file of this machine"):
        EVERYTHING.plan(None, Target(pipeline, {}, is_local=False))  # type: ignore[arg-type]  # no call is made
    variable = pipeline.secrets["warehouse"].environment
    by_url = Target(replace(pipeline, warehouse_file=None), {variable: "duckdb:///tmp/w.duckdb"}, is_local=False)
    with pytest.raises(CommandError, match=f"{variable} names a DuckDB file"):
        refuse_file(by_url)


def test_stack_gives_the_functions_the_file_and_its_driver(tmp_path):
    path = declared(tmp_path, '[warehouse]\nengine = "duckdb"\npath = "w.duckdb"')
    target = local_target(path, stack(tmp_path), {"WAREHOUSE_DATABASE_URL": "postgresql://production"})
    assert target.environ["WAREHOUSE_DATABASE_URL"] == f"duckdb://{tmp_path}/w.duckdb"
    wanted = deployment(target.pipeline, "0" * 12, target.environ)
    stored = {secret.environment: secret.value for secret in wanted.secrets}
    assert json.loads(stored["WAREHOUSE_DATABASE_URL"]) == {"engine": "duckdb", "file": f"{tmp_path}/w.duckdb"}
    given = {f.name: (f.environment or {}).get(targets.DRIVER_VARIABLE) for f in wanted.functions}
    having = {name.rpartition("-")[2] for name, folder in given.items() if folder}
    assert having == {"load", "freshness"}
    assert all((Path(folder) / "duckdb").is_dir() for folder in given.values() if folder)
    assert not any("duckdb" in requirement for f in wanted.functions for requirement in f.requirements or ())
    assert isinstance(warehouse_of(target), FileReader)


def test_stack_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    path = declared(tmp_path, '[warehouse]\nengine = "duckdb"')
    for found in (None, ModuleSpec("duckdb", None, origin=None)):  # the second of a folder that is called like it
        monkeypatch.setattr(targets.importlib.util, "find_spec", {"duckdb": found}.get)
        with pytest.raises(CommandError, match=r'pip install "lambda-script\[duckdb\]"'):
            local_target(path, stack(tmp_path), {})


@pytest.mark.parametrize("url", ["duckdb://relative.duckdb", "duckdb:///folder/", "duckdb://", "duckdb:///a%00b"])
def test_url_of_a_file_is_absolute(url):
    with pytest.raises(ConfigurationError, match="the path must be absolute"):
        credentials(url, "the URL")


def test_url_of_a_file_is_a_secret_without_a_password(tmp_path):
    pipeline = load(CONFIG / "pipeline.toml")
    value = secret_value(pipeline.secrets["warehouse"], {"WAREHOUSE_DATABASE_URL": "duckdb:///a%20b.duckdb"})
    assert json.loads(value.text or "") == {"engine": "duckdb", "file": "/a b.duckdb"}


def test_file_of_another_lake_is_set_aside(tmp_path):
    said: list[str] = []
    _set_aside(tmp_path / "w.duckdb", said.append)
    assert said == []
    (tmp_path / "w.duckdb").write_bytes(b"of another lake")
    _set_aside(tmp_path / "w.duckdb", said.append)
    assert (tmp_path / "w.before.duckdb").read_bytes() == b"of another lake"
    assert len(said) == 1
