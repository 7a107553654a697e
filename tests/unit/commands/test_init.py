"""``init``: what it writes deploys as it is, and it overwrites nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import deploy
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import VERSION
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse

ACCOUNT = "123456789012"
SHIPPED = ("extract", "transform", "load", "notifier", "freshness")
REPOSITORY = Path(__file__).parents[3]
PINNED = f"'lambda-script[pipeline]=={VERSION}'"


def init(directory: Path) -> tuple[int, str]:
    result = CliRunner().invoke(deploy.main, ["init", str(directory)])
    return result.exit_code, result.output


def test_what_it_writes_can_be_deployed(tmp_path: Path) -> None:
    assert init(tmp_path / "crm")[0] == 0
    pipeline = load(tmp_path / "crm" / "config" / "pipeline.toml")
    assert pipeline.name == "crm"
    declared = deployment(pipeline, ACCOUNT, {})
    assert [spec.name for spec in declared.functions] == [f"crm-dev-{name}" for name in SHIPPED]
    handlers = {build(spec).handler for spec in declared.functions}
    assert handlers == {f"lambdas.{name}.handler.lambda_handler" for name in SHIPPED}
    assert "totes" not in (tmp_path / "crm" / "config" / "pipeline.toml").read_text(encoding="utf-8")


def test_its_tables_are_declared_as_the_functions_read_them(tmp_path: Path) -> None:
    init(tmp_path / "crm")
    pipeline = load(tmp_path / "crm" / "config" / "pipeline.toml")
    declarations = parse(pipeline.tables)
    assert list(declarations.warehouse) == ["dim_date", "dim_customer", "fact_purchase"]


def contents(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_a_project_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a repository of its own needs is in the folder, and names the installed command alone."""
    (tmp_path / "My Data").mkdir()
    monkeypatch.chdir(tmp_path / "My Data")
    result = CliRunner().invoke(deploy.main, ["init"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].endswith(" local up"), "no --config: this folder is the project"
    files = contents(tmp_path / "My Data")
    assert sorted(files) == [
        ".github/workflows/audit.yml",
        ".github/workflows/deploy.yml",
        ".gitignore",
        "README.md",
        "config/pipeline.schema.json",
        "config/pipeline.toml",
        "config/requirements.lock",
        "config/source.sql",
        "config/warehouse.sql",
    ]
    for name, text in files.items():
        assert not [word for word in ("deploy.py", "totesys", str(REPOSITORY)) if word in text], name
        assert not re.search(r"\$(name|version|command)\b", text), f"{name} is filled in"
    assert tomllib.loads(files["config/pipeline.toml"])["pipeline"]["name"] == "my-data"
    assert len(files["README.md"].splitlines()) <= 20
    for path in re.findall(r"\]\(([^)]+)\)", files["README.md"]):
        assert path in files, "its links lead into the project"
    assert {".local/", ".env", ".venv/"} <= set(files[".gitignore"].splitlines())


def test_the_workflows_pass_the_linters(tmp_path: Path) -> None:
    """Those of `make lint`: zizmor, with its own settings, and the schema of GitHub."""
    init(tmp_path / "crm")
    workflows = sorted((tmp_path / "crm" / ".github" / "workflows").iterdir())
    tools = Path(sys.executable).parent
    lint = [str(tools / "zizmor"), "--offline", "--no-progress", "--no-config", "--persona=pedantic"]
    checked = subprocess.run([*lint, str(tmp_path / "crm")], capture_output=True, text=True)
    found = set(re.findall(r"^(?:error|warning|help|info)\[([\w-]+)\]", checked.stdout, re.MULTILINE))
    assert found <= {"self-repository", "anonymous-definition"}, checked.stdout
    schema = [str(tools / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run([*schema, *map(str, workflows)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_secrets_of_a_workflow_reach_the_step_that_deploys_alone(tmp_path: Path) -> None:
    init(tmp_path / "crm")
    steps = []
    for path in (tmp_path / "crm" / ".github" / "workflows").iterdir():
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}
        assert "secrets." not in json.dumps(
            {**workflow, "jobs": [{**j, "steps": 0} for j in workflow["jobs"].values()]}
        )
        for name, job in workflow["jobs"].items():
            assumes = any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
            assert job["permissions"] == {"contents": "read"} | ({"id-token": "write"} if assumes else {})
            steps += [(name, step.get("name"), step) for step in job["steps"]]
            for step in job["steps"]:
                assert re.search(r"@[0-9a-f]{40}$", step.get("uses", "x@" + "0" * 40))
                assert (
                    "lambda-script" not in step.get("run", "")
                    or "pip install" not in step["run"]
                    or PINNED in step["run"]
                )
    assert [step[:2] for step in steps if "secrets." in json.dumps(step)] == [("deploy", "Deploy")]
    assert sum(PINNED in step.get("run", "") for _, _, step in steps) == 3


def test_existing_files_are_kept_and_named(tmp_path: Path) -> None:
    """A file of another is never overwritten, whatever it is; the missing ones around it are written."""
    project = tmp_path / "crm"
    init(project)
    complete = contents(project)
    for name in complete:
        for path in project.rglob("*"):
            if path.is_file():
                path.unlink()
        (project / name).write_text("mine\n", encoding="utf-8")
        code, output = init(project)
        found = contents(project)
        assert found[name] == "mine\n"
        if name in ("config/warehouse.sql", "config/source.sql"):
            assert code == 1 and f"{project / name} exists" in output
            assert found == {name: "mine\n"}, "half of a declaration was not written beside it"
        else:
            assert code == 0 and f"Kept {project / name}," in output
            own = {"config/warehouse.sql", "config/source.sql"} if name == "config/pipeline.toml" else set()
            assert found.keys() == complete.keys() - own, "tables of an example do not fit a declaration of one's own"


def test_a_half_written_project_is_completed(tmp_path: Path) -> None:
    """However far it came: some files are missing, and one may be cut off."""
    project = tmp_path / "crm"
    init(project)
    complete = contents(project)
    for number, name in enumerate(complete):
        for missing in list(complete)[number + 1 :]:
            (project / missing).unlink()
        (project / name).write_text(complete[name][: len(complete[name]) // 2], encoding="utf-8")
        assert init(project)[0] == 0
        assert contents(project) == complete
    assert "Nothing was written: all files are there." in init(project)[1]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file", encoding="utf-8")
    code, output = init(tmp_path)
    assert code == 1 and f"{tmp_path / 'config'}" in output and "Traceback" not in output
    (tmp_path / "config").unlink()
    (tmp_path / "README.md").symlink_to(tmp_path / "elsewhere")
    code, output = init(tmp_path)
    assert code == 1 and "README.md is a link to a file that is not there" in output
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("2nd", "pipeline-2nd"),
        ("My_Data", "my-data"),
        ("a1", "a1"),
        ("a-folder-of-19-abcd-e", "a-folder-of-19-abcd"),
        ("test_in_an_empty_folder_of_its_own", "test-in-an-empty-fol"),
        ("データ", "pipeline"),
    ],
)
def test_any_folder_gives_a_name_that_aws_accepts(tmp_path: Path, folder: str, name: str) -> None:
    assert init(tmp_path / folder)[0] == 0
    assert load(tmp_path / folder / "config" / "pipeline.toml").name == name


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
    text = (REPOSITORY / "config" / "pipeline.toml").read_text(encoding="utf-8")
    shipped = tomllib.loads(text.replace("python deploy.py", "lambda-script"))
    for tables in ("source", "warehouse"):
        written.pop(tables)
        shipped.pop(tables)
    assert written == shipped
