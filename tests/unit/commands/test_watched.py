"""What ``watch`` looks at, and of what it makes a plan after which file was saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_script import Deployment, FunctionSpec, Lambda_script
from lambda_toolkit.pipeline.client import watched
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.watched import WatchedPipeline, WatchedScript
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from tests.support.answering_aws import AnsweringAws

PIPELINE = load(DEFAULT_PATH)
HANDLER = "def lambda_handler(event, context):\n    return {}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of a function, with files beside it that scripts read, and with some that deploys write."""
    monkeypatch.chdir(tmp_path)
    for suffix in ("py", "txt", "toml", "json", "yaml", "yml", "log", "zip"):
        (tmp_path / f"a.{suffix}").write_text(HANDLER if suffix == "py" else "", encoding="utf-8")
    (tmp_path / "folder.json").mkdir()
    return tmp_path


def test_files_that_scripts_read_are_watched(folder: Path) -> None:
    read = {folder / f"a.{suffix}" for suffix in ("py", "txt", "toml", "json", "yaml", "yml")}
    assert set(WatchedScript(Path("a.py")).places()) == {Path("a.py"), *read}, "also while it cannot be read"
    assert WatchedScript(Path("folder.json")).places() == [Path("folder.json")]
    missing = WatchedScript(Path("none.py"))
    assert missing.places() == [Path("none.py")]


def test_script_has_its_region_and_its_log_groups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    alone = WatchedScript(Path("a.py"))
    assert (alone.aws().region, alone.aws() is alone.aws()) == ("eu-west-2", True)
    scripts = [
        Lambda_script("a.py", function_name_template="one", region="eu-west-3", log_group="/shop"),
        Lambda_script("a.py", function_name_template="two"),
    ]
    several = WatchedScript(Path("a.py"), (), scripts)
    assert several.aws().region == "eu-west-3"
    assert several.log_groups() == {"one": "/shop", "two": ""}
    monkeypatch.setattr("lambda_script.plan", lambda *of: of)
    wanted, aws = several.plan([])  # type: ignore[misc]
    assert ([spec.name for spec in wanted.functions], aws) == (["one", "two"], several.aws())
    assert {spec.zip_path for spec in wanted.functions} == {None}, "no package is written into a folder that is watched"


CONFIG = Path("/shop/config/pipeline.toml")


@pytest.mark.parametrize(
    ("changed", "only"),
    [
        ([], None),
        (["/shop/config/pipeline.toml"], None),
        (["/shop/lambdas/a.py", "/shop/config/warehouse.sql"], None),
        (["/shop/lambdas/a.py"], ["a", "b"]),
        (["/shop/config-old/pipeline.toml", "/other/shop/config/x"], ["a", "b"]),
    ],
)
def test_saved_function_is_deployed_alone(monkeypatch: pytest.MonkeyPatch, changed: Any, only: Any) -> None:
    aws: Any = AnsweringAws()
    target: Any = SimpleNamespace(pipeline="pipeline", environ={"E": "1"}, aws=lambda: aws)
    functions = tuple(FunctionSpec(name, Path(f"{name}.py"), zip_path=Path("build/x.zip")) for name in "ab")

    def deployment(*of: Any) -> Deployment:
        assert of == ("pipeline", aws.account_id, {"E": "1"})
        return Deployment(functions, stage="dev")

    monkeypatch.setattr(watched, "deployment", deployment)
    monkeypatch.setattr("lambda_script.plan", lambda *of, **named: (*of, named))
    found = WatchedPipeline(CONFIG, lambda: target).plan(changed)
    wanted = Deployment(tuple(replace(spec, zip_path=None) for spec in functions), stage="dev")
    assert found == (wanted, aws, {"only": only})


def test_pipeline_is_read_when_it_is_needed_or_asked_for() -> None:
    """The client is the same after a change of the configuration: connections stay open."""
    made: list[Any] = []
    shared = {**PIPELINE.functions, "load": _with_log_group(PIPELINE.functions["load"], "/{name}/{account}")}

    def read() -> Any:
        made.append(type("Given", (Target,), {"aws": lambda of: AnsweringAws()})(PIPELINE, {}, False))
        return made[-1]

    pipeline = WatchedPipeline(DEFAULT_PATH, read)
    assert pipeline.places() == [DEFAULT_PATH.parent] and made == []
    client = pipeline.aws()
    own = {f"totes-dev-{name}": f"/aws/lambda/totes-dev-{name}" for name in PIPELINE.functions}
    assert pipeline.log_groups() == own and len(made) == 1
    pipeline.read()
    assert len(made) == 2 and pipeline.aws() is client
    assert DEFAULT_PATH.parent in pipeline.places() and len(pipeline.places()) > 1
    pipeline._target = replace(made[-1], pipeline=replace(PIPELINE, functions=shared))
    assert pipeline.log_groups() == {**own, "totes-dev-load": "/totes/123456789012"}


def _with_log_group(function: Any, group: str) -> Any:
    return replace(function, spec=replace(function.spec, log_group=group))
