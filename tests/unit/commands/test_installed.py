"""The installed command, in a project whose folders have the names of this repository's.

The wheel is built and installed without a network; the requirements are those of the environment that runs the tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.uv import find_uv, uv_environment
from lambda_toolkit.pipeline.config.deployment import deployment
from lambda_toolkit.pipeline.config.load import load

REPOSITORY = Path(__file__).parents[3]
DISTRIBUTED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "lambda_script.py", "lambda_toolkit", "lambdas")
FOREIGN = ("lambdas", "commands", "config", "local", "local_stack", "deploy", "tests", "toolkit")  # a user's packages
ACCOUNT = "123456789012"
ZIPS = """
import hashlib, json, sys
from pathlib import Path
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.pipeline.config.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
for spec in deployment(load(Path(sys.argv[1])), sys.argv[2], {}).functions:
    assert spec.source.is_relative_to(sys.prefix), spec.source
    package = build(spec)
    print(json.dumps([package.handler, hashlib.sha256(package.content).hexdigest()]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository, built from a copy of it with its symbolic link."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in DISTRIBUTED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    command = [str(find_uv()), "build", "--wheel", "--out-dir", "dist", "--offline", "--quiet"]
    done = subprocess.run(command, cwd=folder, env=uv_environment(), capture_output=True, text=True)
    if done.returncode and ("offline" in done.stderr or "network" in done.stderr):
        pytest.skip(f"uv's cache does not contain setuptools: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    [built] = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """A virtual environment with the wheel in it, and its requirements from the environment of the tests."""
    folder = wheel.parents[1] / "environment"
    uv = str(find_uv())
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True, env=uv_environment())
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(folder / "bin" / "python")]
    subprocess.run([*install, str(wheel)], check=True, env=uv_environment())
    [site] = folder.glob("lib/python*/site-packages")
    requirements = site.parent / "requirements"
    requirements.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "lambda_script" not in entry.name and entry.suffix != ".pth":  # not the checkout that is installed there
            (requirements / entry.name).symlink_to(entry)
    (site / "requirements.pth").write_text(f"{requirements}\n", encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with packages of the user that must not be imported."""
    for name in FOREIGN:
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"raise SystemExit('{name} of the user was imported')\n", encoding="utf-8")
    return tmp_path


def run(environment: Path, project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``lambda-script`` in ``project``. The names of the modules that were imported are in ``imported.json``."""
    (project / "sitecustomize.py").write_text(
        "import atexit, json, sys\n"
        "atexit.register(lambda: open('imported.json', 'w').write(json.dumps(sorted(sys.modules))))\n",
        encoding="utf-8",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    isolated = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"}
    return subprocess.run(
        [str(environment / "bin" / "lambda-script"), *arguments],
        cwd=project,
        env={**kept, **isolated, **variables, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )


def imported(project: Path) -> set[str]:
    return set(json.loads((project / "imported.json").read_text(encoding="utf-8")))


def test_the_wheel_contains_the_functions_and_the_templates(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    source = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "lambdas").rglob("*.py")}
    assert {f"lambda_toolkit/pipeline/{name}" for name in source} <= set(names)
    starter = REPOSITORY / "lambda_toolkit" / "pipeline" / "config" / "starter"
    assert {str(path.relative_to(REPOSITORY)) for path in starter.iterdir()} <= set(names)
    assert not [name for name in names if name.startswith(("lambdas/", "tests/", "config/"))]


def test_help_names_the_installed_command(environment: Path, project: Path) -> None:
    for arguments in (["--help"], ["local", "env", "--help"], ["deploy", "--help"]):
        shown = run(environment, project, *arguments)
        assert shown.returncode == 0, shown.stderr
        assert "deploy.py" not in shown.stdout
    shown = run(environment, project, "--help").stdout
    assert f"{environment}/bin/lambda-script init, then: " in " ".join(shown.split()), "in a folder without a project"


def test_init_project_is_planned_without_importing_user_folders(environment: Path, project: Path) -> None:
    """What init writes is planned and nothing of the user is imported."""
    shutil.rmtree(project / "config")
    written = run(environment, project, "init", "crm")
    assert written.returncode == 0, written.stderr
    config = project / "crm" / "config"
    assert "/bin/lambda-script local up --config" in written.stdout
    assert not any("deploy.py" in path.read_text(encoding="utf-8") for path in config.iterdir())

    policy = run(environment, project, "policy", "--account", ACCOUNT, "--config", "crm/config/pipeline.toml")
    assert policy.returncode == 0, policy.stderr
    assert f"arn:aws:lambda:eu-west-2:{ACCOUNT}:function:crm-dev-extract" in policy.stdout
    assert {"lambda_toolkit.pipeline.lambdas"} <= imported(project)
    assert not imported(project) & set(FOREIGN)

    plan = run(environment, project, "plan", "--config", "crm/config/pipeline.toml")
    assert plan.returncode == 1
    assert "AWS_ACCESS_KEY_ID" in plan.stderr and "lambda-script local up --config" in plan.stderr
    assert not imported(project) & set(FOREIGN)

    down = run(environment, project, "local", "down", "--config", "crm/config/pipeline.toml")
    assert (down.returncode, down.stdout) == (0, "It was not up.\n"), down.stderr
    assert not imported(project) & set(FOREIGN)


def test_its_zips_have_the_bytes_of_a_checkout(environment: Path, project: Path) -> None:
    config = REPOSITORY / "config" / "pipeline.toml"
    expected = [
        [package.handler, hashlib.sha256(package.content).hexdigest()]
        for package in map(build, deployment(load(config), ACCOUNT, {}).functions)
    ]
    command = [str(environment / "bin" / "python"), "-c", ZIPS, str(config), ACCOUNT]
    done = subprocess.run(command, cwd=project / "config", env=uv_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    assert [handler for handler, _ in expected] == [
        f"lambdas.{name}.handler.lambda_handler" for name in ("extract", "transform", "load")
    ]
