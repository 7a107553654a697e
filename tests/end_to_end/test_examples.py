"""The wheel, installed in an empty environment, deploys the examples to the local stack, and they do their work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.packaging.uv import find_uv, uv_environment
from lambda_toolkit.pipeline.local_stack.description import environment
from tests.support.command_line import CommandLine
from tests.support.repository import REPOSITORY

IN_THE_WHEEL = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "lambda_script.py", "lambda_toolkit")


def _uv(*arguments: str, cwd: Path) -> None:
    """Runs uv from its cache alone; skips the test where that does not hold what is needed."""
    done = subprocess.run(
        [str(find_uv()), *arguments, "--offline", "--quiet"],
        cwd=cwd,
        env=uv_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode and re.search("offline|network", done.stderr, re.IGNORECASE):
        pytest.skip(f"uv's cache does not hold what is needed: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in IN_THE_WHEEL:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    _uv("build", "--wheel", "--out-dir", "dist", cwd=folder)
    [built] = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """The Python of an environment that holds the wheel and what it needs."""
    _uv("venv", "--python", sys.executable, "empty", cwd=wheel.parent)
    python = wheel.parent / "empty" / "bin" / "python"
    _uv("pip", "install", "--python", str(python), str(wheel), cwd=wheel.parent)
    return python


@pytest.fixture
def deploy(python: Path, cli: CommandLine, tmp_path: Path) -> Callable[..., list[str]]:
    """Runs an example's deploy.py; returns what it says was done."""
    names = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}

    def run(example: str, *arguments: str) -> list[str]:
        done = subprocess.run(
            [str(python), str(REPOSITORY / "examples" / example / "deploy.py"), *arguments],
            cwd=tmp_path,
            env={**names, **environment(cli.stack)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_wheel_holds_the_toolkit_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"lambda_script.py", "lambda_script-stubs", "lambda_toolkit", "lambda_script-0.1.0.dist-info"}
    assert "lambda_toolkit/py.typed" in names
    assert "lambda_script-stubs/__init__.pyi" in names


def test_its_types_are_seen_by_those_who_use_it(python: Path, tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text(
        "from lambda_script import Lambda_script, Report\n"
        "report: Report = Lambda_script('f.py', schedule='0 0 * * *').deploy()\n"
        "Lambda_script('f.py', timeout='long')\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[:-1] == [
        'user.py:3: error: Argument "timeout" to "Lambda_script" has incompatible type "str"; expected "int"  '
        "[arg-type]"
    ]


def test_hello(deploy, aws, cli: CommandLine) -> None:
    assert "create function dev-hello" in deploy("hello")
    assert deploy("hello") == []
    answer = aws(cli, "lambda").invoke(FunctionName="dev-hello:live", Payload=json.dumps({"name": "Ada"}))
    assert json.load(answer["Payload"]) == {"message": "Hello, Ada!"}


@pytest.fixture
def bucket(aws, cli: CommandLine) -> Iterator[str]:
    s3 = aws(cli, "s3")
    s3.create_bucket(Bucket="my-notes", CreateBucketConfiguration={"LocationConstraint": cli.stack.region})
    yield "my-notes"
    for item in s3.list_objects_v2(Bucket="my-notes").get("Contents", ()):
        s3.delete_object(Bucket="my-notes", Key=item["Key"])
    s3.delete_bucket(Bucket="my-notes")


def test_notes(deploy, aws, cli: CommandLine, bucket: str) -> None:
    done = deploy("notes", bucket)
    assert {"function", "layer", "role", "alarm"} <= {line.split()[1] for line in done}
    s3 = aws(cli, "s3")
    s3.put_object(Bucket=bucket, Key="notes/a day.md", Body=b"# Monday\n")
    assert _awaited(s3, bucket, "pages/a day.html") == b"<h1>Monday</h1>\n"


def _awaited(s3: Any, bucket: str, key: str) -> bytes:
    for _ in range(150):
        if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"):
            return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        time.sleep(0.2)
    raise AssertionError(f"no {key} after 30 s")
