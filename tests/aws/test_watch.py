"""`watch` deploys what a script declares after a save, and says in one line what happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.packaging.layer_zip import LayerSpec
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.watched import WatchedPipeline, WatchedScript
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.commands.watch import _deploy
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import SHARED
from tests.support.api_recorder import ApiRecorder
from tests.support.function_sources import write
from tests.support.repository import REPOSITORY

SCRIPT = """
from lambda_script import Lambda_script, deploy_all
one = Lambda_script("one.py", function_name_template="one", region="eu-west-2", memory={memory})
two = Lambda_script("two.py", function_name_template="two", region="eu-west-2")
deploy_all([one, two])
"""
HANDLER = "def lambda_handler(event, context):\n    return {}\n"


@pytest.fixture
def deploy(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., str]:
    """Saves the files, deploys as `watch` does; returns the line that it says, without the time."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"app.py": SCRIPT.format(memory=128), "one.py": HANDLER.format(1), "two.py": HANDLER.format(1)})
    watched = WatchedScript(Path("app.py"), _aws=aws)

    def save(**files: str) -> str:
        write(tmp_path, {f"{name}.py": text for name, text in files.items()})
        _deploy(Screen(), watched, [str(tmp_path / f"{name}.py") for name in files])
        [line] = [each for each in capsys.readouterr().out.splitlines() if each]
        return str(line[10:])

    return save


def test_line_says_what_happened(deploy: Callable[..., str], recorder: ApiRecorder, client: Any) -> None:
    assert deploy().startswith("live after ")
    recorder.clear()
    assert deploy(one=HANDLER.format(2)).endswith("s: function one")
    assert recorder.writes == ["UpdateFunctionCode", "UpdateAlias"], "of the function that changed alone"
    assert deploy(app=SCRIPT.format(memory=256)).endswith("s: function one")
    assert client("lambda").get_function_configuration(FunctionName="one")["MemorySize"] == 256
    recorder.clear()
    assert deploy(one=HANDLER.format(2)).startswith("one.py: nothing changed on AWS")
    broken = deploy(two="def lambda_handler(:\n")
    assert broken.startswith("two.py: not deployed: two.py")
    assert "cannot compile it" in broken
    assert "line 1: `import nothere` fails on Lambda" in deploy(two="import nothere\n" + HANDLER.format(1))
    assert "app.py, line 2: NameError" in deploy(app="from lambda_script import Lambda_script\nnothere\n")
    assert recorder.writes == [], "what is broken is not deployed"


def test_files_beside_the_script_are_watched(deploy: Callable[..., str], aws: Aws, tmp_path: Path) -> None:
    write(tmp_path, {"names.py": "", "requirements.txt": "", "watch.log": "", "lambda_function.zip": ""})
    watched = WatchedScript(Path("app.py"), _aws=aws)
    watched.read()
    assert {path.name for path in watched.places()} == {"app.py", "names.py", "requirements.txt", "one.py", "two.py"}
    assert watched.log_groups() == {"one": "", "two": ""}


def test_pipeline_is_watched_with_its_configuration(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """A saved function is deployed alone; after a change of the configuration, everything is compared."""

    def install(_: LayerSpec, target: Path) -> None:
        write(target, {f"{name}/__init__.py": "" for name in ("pg8000", "pyarrow", "scramp")})

    monkeypatch.setattr("lambda_toolkit.packaging.layer_zip._install", install)
    config = REPOSITORY / "config" / "pipeline.toml"
    watched = WatchedPipeline(config, lambda: Target(load(config), {}, is_local=False), _aws=aws)
    assert watched.places() == [config.parent], "also while the configuration cannot be read"
    watched.read()
    assert {config.parent, SHARED} <= set(watched.places())
    everything = {change.kind for change in watched.plan([]).changes}
    assert {"bucket", "secret", "topic", "function"} <= everything
    assert {change.kind for change in watched.plan([str(config)]).changes} == everything
    of_functions = {change.kind for change in watched.plan([str(SHARED / "logs.py")]).changes}
    assert "function" in of_functions
    assert not of_functions & {"bucket", "secret", "topic"}
    assert set(watched.log_groups()) == {f"totes-dev-{name}" for name in watched._known().pipeline.functions}
