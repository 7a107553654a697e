"""The installed command, in a project whose folders have the names of this repository's.

The wheel is built and installed without a network; the requirements are those of the environment that runs the tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.uv import uv_environment
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import VERSION
from tests.support.installation import (
    NEWEST,
    OLDEST,
    OWN,
    NotBuiltError,
    build_distributions,
    copy_what_is_distributed,
    install,
    metadata,
    pythons,
)
from tests.support.repository import REPOSITORY

FOREIGN = ("lambdas", "commands", "config", "local", "local_stack", "deploy", "tests", "toolkit")  # a user's packages
ACCOUNT = "123456789012"
IMPORTS = """
import importlib, pkgutil, sys
import lambda_script, lambda_toolkit
found = [module.name for module in pkgutil.walk_packages(lambda_toolkit.__path__, "lambda_toolkit.")]
for name in found:
    if not any(each in name for each in sys.argv[1:]) and not name.endswith("__main__"):
        importlib.import_module(name)
print(len(found))
"""
ZIPS = """
import hashlib, json, sys
from pathlib import Path
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
for spec in deployment(load(Path(sys.argv[1])), sys.argv[2], {}).functions:
    assert spec.source.is_relative_to(sys.prefix), spec.source
    package = build(spec)
    print(json.dumps([package.handler, hashlib.sha256(package.content).hexdigest()]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository, built from its sdist."""
    folder = copy_what_is_distributed(tmp_path_factory.mktemp("distributed"))
    try:
        wheel, _ = build_distributions(folder, folder / "dist")
    except NotBuiltError as error:
        pytest.skip(str(error))
    return wheel


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """An environment with `lambda-script[pipeline]` and nothing else."""
    return install(wheel, "pipeline", wheel.parents[1] / "pipeline")


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
    folders = {"lambda_toolkit": "", "lambdas": "lambda_toolkit/pipeline/"}
    files = {
        f"{prefix}{path.relative_to(REPOSITORY).as_posix()}"
        for folder, prefix in folders.items()
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 250
    assert files | {"lambda_script.py"} <= set(names), "through the sdist, of which this was built"
    assert not [name for name in names if name.startswith(("lambdas/", "tests/", "config/"))]


def test_metadata_is_complete(wheel: Path) -> None:
    """What an index shows and checks: https://packaging.python.org/en/latest/specifications/core-metadata/."""
    found = metadata(wheel)
    assert (found["Name"], found["Version"], found["License-Expression"]) == ("lambda-script", VERSION, "MIT")
    assert found["Author"] and found["Keywords"] and found["License-File"] == "LICENSE"
    assert 10 < len(found["Summary"]) <= 512 and "\n" not in found["Summary"]
    assert found["Description-Content-Type"].startswith("text/markdown")
    urls = dict(line.split(", ") for line in found.get_all("Project-URL", []))
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} == set(urls)
    assert all(re.fullmatch(r"https://[\w./-]+", url) for url in urls.values())
    assert [line for line in found.get_all("Classifier", []) if line.startswith("License ::")] == [], "PEP 639"
    minors = [f"{major}.{minor}" for major, minor in (OLDEST, (3, 12), (3, 13), NEWEST)]
    assert [f"Programming Language :: Python :: {minor}" for minor in minors] == [
        line for line in found.get_all("Classifier", []) if re.search(r"Python :: 3\.\d+$", line)
    ]
    assert found["Requires-Python"] == f">={minors[0]}"
    assert set(found.get_all("Provides-Extra", [])) == {"pipeline", "local", "dashboard", "duckdb", "iceberg", "dev"}


def test_links_of_the_description_lead_anywhere_from_anywhere(wheel: Path) -> None:
    """An index shows the README without the repository around it: no link is relative, and each leads to a file."""
    found = metadata(wheel)
    links = re.findall(r"\]\(([^)\s]+)\)", str(found.get_payload()))
    home = dict(line.split(", ") for line in found.get_all("Project-URL", []))["Homepage"]
    inside = [
        re.fullmatch(rf"{home}(?:/blob/main/([^#]+))?(?:#.+)?|https://raw\.[\w./-]+/main/(.+)", link) for link in links
    ]
    assert all(link.startswith("https://") for link in links)
    files = [match[1] or match[2] for match in inside if match and (match[1] or match[2])]
    assert len(files) > 20 and [file for file in files if not (REPOSITORY / file).exists()] == []
    assert "docs/pipeline.svg" in files and f"{home}#on-aws" in links


@pytest.mark.parametrize("extra", ["pipeline", "local", "dashboard"])
@pytest.mark.parametrize("version", pythons(), ids=lambda version: ".".join(map(str, version)))
def test_an_extra_is_all_that_its_commands_need(
    wheel: Path, environment: Path, project: Path, version: tuple[int, int], extra: str
) -> None:
    """In a user's folder, on each Python of this machine, every module is imported and commands run."""
    is_there = (version, extra) == (OWN, "pipeline")
    offline = version == OWN
    own = environment if is_there else install(wheel, extra, project / ".venv", pythons()[version], offline=offline)
    shown = run(own, project, "--version").stdout
    assert shown.startswith(f"lambda-script {VERSION}, Python {version[0]}.{version[1]}.")
    assert run(own, project, "init", "crm").returncode == 0
    done = run(own, project / "crm", "local", "env")
    advice = "pip install 'lambda-script[local]'" if extra != "local" else "The local stack is not up."
    assert done.returncode == 1 and advice in done.stderr and "Traceback" not in done.stderr
    if extra != "dashboard":
        done = run(own, project / "crm", "dashboard", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
        assert done.returncode == 1 and "pip install 'lambda-script[local,dashboard]'" in done.stderr
    of_extra = {"local": ".local_stack", "dashboard": "pipeline.dashboard", "iceberg": "pipeline.iceberg"}
    without = [modules for name, modules in of_extra.items() if name != extra]
    python = [str(own / "bin" / "python"), "-c", IMPORTS, *without]
    done = subprocess.run(python, cwd=project / "crm", env=uv_environment(), capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) > 150, done.stderr


def test_help_names_the_installed_command(environment: Path, project: Path) -> None:
    for arguments in (["--help"], ["local", "env", "--help"], ["deploy", "--help"]):
        shown = run(environment, project, *arguments)
        assert shown.returncode == 0, shown.stderr
        assert "deploy.py" not in shown.stdout
    shown = run(environment, project, "--help").stdout
    advice = f"{environment}/bin/lambda-script init, then:"  # lines may break at a hyphen
    assert "".join(advice.split()) in "".join(shown.split()), "in a folder without a project"


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
        f"lambdas.{name}.handler.lambda_handler" for name in ("extract", "transform", "load", "notifier", "freshness")
    ]
