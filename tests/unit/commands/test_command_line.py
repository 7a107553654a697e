"""The command line for a newcomer: every command has help, and the README lists it."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import deploy
from lambda_script import Hint
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.commands.shared.show_changes import wording
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import repeated_options, suggested, what_to_install

ROOT = Path(__file__).parents[3]
README = Path("README.md").read_text(encoding="utf-8")
NAMES = list(deploy.COMMANDS) + [f"local {name}" for name in deploy.LOCAL_COMMANDS]


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_and_the_shared_options(name):
    """Every command explains itself and takes the shared options."""
    result = CliRunner().invoke(deploy.main, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()[2].strip()) > 10, "a sentence of help"
    for option in ("--stage", "--config", "--json"):
        assert option in result.stdout
    command: Any = deploy.main
    for part in name.split():
        command = command.get_command(click.Context(command), part)
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


@pytest.mark.parametrize("name", NAMES)
def test_readme_lists_every_command(name):
    assert f"| `{name}" in README


def test_the_groups_list_their_commands():
    shown = CliRunner().invoke(deploy.main, ["--help"]).stdout
    assert all(name in shown for name in deploy.COMMANDS)
    assert "The whole pipeline on this machine: no account, no Docker." in " ".join(shown.split()), "it is not cut"
    shown = CliRunner().invoke(deploy.main, ["local", "--help"]).stdout
    assert all(name in shown for name in deploy.LOCAL_COMMANDS)
    assert CliRunner().invoke(deploy.main, ["nonsense"]).exit_code == 2


def test_help_imports_few_modules_and_nothing_slow():
    """Counted, since a time depends on what else the machine does: ``python -m benchmarks.startup`` measures it."""
    slow = {"boto3", "botocore", "rich", "pyarrow", "pg8000", "pandas", "uv", "concurrent.futures", "asyncio"}
    code = (
        "import sys\nbefore = {*sys.modules}\nimport deploy\n"
        "try:\n    deploy.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*{*sys.modules} - before)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(result.stdout.splitlines()[-1].split())
    assert "deploy" in imported, "the last line lists the modules"
    assert not imported & slow
    own = {name for name in imported if name.partition(".")[0] in ("lambda_script", "lambda_toolkit")}
    assert own <= {
        "lambda_toolkit",
        "lambda_toolkit.pipeline",
        "lambda_toolkit.pipeline.command_line",
        "lambda_toolkit.pipeline.commands",
        "lambda_toolkit.pipeline.commands.shared",
        "lambda_toolkit.pipeline.commands.shared.lazy_group",
        "lambda_toolkit.pipeline.installed",
    }
    assert len(imported) <= 100, "the standard library's among them: 62 with Python 3.11"


@pytest.mark.parametrize("arguments", [[], ["--json"], ["deploy"]])
def test_without_a_command_everything_is_deployed(arguments, tmp_path):
    config = ["--config", str(tmp_path / "nothing.toml")]
    result = CliRunner().invoke(deploy.main, [*arguments, *config])
    assert result.exit_code == 1
    assert f"Error: {tmp_path / 'nothing.toml'} does not exist" in result.stderr


def test_without_credentials_it_is_said_what_to_do(tmp_path):
    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "pipeline.toml"
    config.write_text(Path("config/pipeline.toml").read_text(encoding="utf-8"))
    result = CliRunner().invoke(deploy.main, ["plan", "--config", str(config), "--json"])
    assert result.exit_code == 1
    assert "AWS_ACCESS_KEY_ID" in result.stderr
    assert "python deploy.py local up --config " in result.stderr, "of a project that is not totesys"
    (tmp_path / "config" / "totesys.sql").touch()
    result = CliRunner().invoke(deploy.main, ["plan", "--config", str(config), "--json"])
    assert "python deploy.py local run --config " in result.stderr
    assert '"error": ' in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["invoke"], "Missing argument 'FUNCTION'"),
        (["local", "simulate", "--rate", "0"], "Invalid value for '--rate'"),
        (["local", "up", "--seed", "nowhere"], "Directory 'nowhere' does not exist"),
        (["nonsense"], "No such command 'nonsense'"),
        (["depoly"], "Did you mean 'deploy'?"),
        (["local", "upp"], "Did you mean 'up'?"),
    ],
)
def test_usage_error_is_reported_in_the_requested_format(arguments, says):
    result = CliRunner().invoke(deploy.main, [*arguments, "--json"])
    assert result.exit_code == 2
    assert says in json.loads(result.stdout)["error"]
    assert "Usage:" in CliRunner().invoke(deploy.main, arguments).stderr


def test_a_stack_that_died_is_still_what_is_meant(tmp_path):
    """Else a command about it would silently become one about AWS."""
    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "pipeline.toml"
    config.write_text(Path("config/pipeline.toml").read_text(encoding="utf-8"))
    (tmp_path / ".local").mkdir()
    database = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u", "password": "p"}
    dead = {"pid": 2**22 + 1, "started": 0.0}
    stack = {
        "aws_endpoint_url": "http://127.0.0.1:1",
        "region": "eu-west-2",
        "account_id": "000000000000",
        "access_key_id": "k",
        "secret_access_key": "s",
        **dict.fromkeys(("source", "source_admin", "warehouse"), database),
        "processes": dict.fromkeys(("emulator", "postgres", "alarm_evaluator"), dead),
    }
    (tmp_path / ".local" / "stack.json").write_text(json.dumps(stack))
    for env in ({}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}):
        result = CliRunner().invoke(deploy.main, ["status", "--config", str(config)], env=env)
        assert result.exit_code == 1
        assert "python deploy.py local up" in result.stderr
    result = CliRunner().invoke(deploy.main, ["status", "--config", str(config), "--stage", "dev"])
    assert "AWS_ACCESS_KEY_ID" in result.stderr, "with --stage it is about AWS"


def test_interrupted_command_reports_it_and_exits_with_130(capsys):
    """An interrupted command says so and ends as shells expect."""

    @options.with_request
    def interrupted(request: options.Request) -> int:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        interrupted(stage=None, config=Path("x"), as_json=False)
    assert end.value.code == options.INTERRUPTED
    assert "Stopped." in capsys.readouterr().err


def test_a_defect_is_not_dressed_up_as_a_failure():
    @options.with_request
    def defective(request: options.Request) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        defective(stage=None, config=Path("x"), as_json=False)

    @options.with_request
    def failing(request: options.Request) -> int:
        raise CommandError("no")

    with pytest.raises(SystemExit) as end:
        failing(stage=None, config=Path("x"), as_json=False)
    assert end.value.code == options.FAILED


def test_target_looks_for_the_file_that_the_stack_writes():
    from lambda_toolkit.pipeline.client import target
    from lambda_toolkit.pipeline.local_stack import description

    assert (target.DIRECTORY, target.STACK_FILE) == (description.DIRECTORY, description.STACK_FILE)


@pytest.mark.parametrize(
    ("number", "says"), [(errno.EROFS, "a folder that you may write to"), (errno.ENOSPC, "Free some space")]
)
def test_system_error_is_reported_with_advice(number, says, capsys):
    @options.with_request
    def refused(request: options.Request) -> int:
        raise OSError(number, os.strerror(number), "/some/file")

    with pytest.raises(SystemExit) as end:
        refused(stage=None, config=Path("x"), as_json=False)
    assert end.value.code == options.FAILED
    reported = capsys.readouterr().err
    assert f"/some/file: {os.strerror(number)}." in reported and says in reported


def test_another_error_of_the_system_is_a_defect():
    @options.with_request
    def defective(request: options.Request) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    with pytest.raises(OSError, match="Bad file descriptor"):
        defective(stage=None, config=Path("x"), as_json=False)


def test_without_the_environment_it_is_said_how_to_make_it():
    code = "import sys; sys.modules['click'] = None; import deploy"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "make run" in result.stderr and "Traceback" not in result.stderr


def test_the_help_says_what_the_exit_codes_mean():
    shown = " ".join(CliRunner().invoke(deploy.main, ["--help"]).stdout.split())
    assert f"0 done, 1 failed, 2 wrong usage, {options.INTERRUPTED} stopped" in shown


ONLY_CLICK = """
import importlib.machinery, sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        allowed = ("click", "lambda_toolkit", "lambda_script", "deploy")
        if name.partition(".")[0] not in (*allowed, *sys.stdlib_module_names):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NotInstalled())
import deploy
for command in COMMANDS:
    print("#", command, flush=True)
    try:
        deploy.main([*command.split(), "--json"])
    except SystemExit as end:
        print(end.code, file=sys.stderr)
"""


def test_command_without_its_packages_names_one_and_what_to_run(tmp_path):
    """With click alone: each command that needs more says so in a sentence, on stderr and as JSON."""
    named = {"invoke": "invoke extract", "logs": "logs extract", "rollback": "rollback extract", "query": "query x"}
    named["backfill"] = "backfill --plan"
    without = {"init", "policy", "local inbox"}  # they need nothing more, or end before
    commands = [named.get(name, name) for name in NAMES if name not in without]
    code = ONLY_CLICK.replace("COMMANDS", repr(commands))
    environ = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line == "1" or line.startswith("Error: ")]
    assert len(lines) == 2 * len(commands), done.stderr
    assert set(lines[1::2]) == {"1"}
    assert all(line.startswith("Error: The package ") and "is not installed for" in line for line in lines[::2])
    assert all("`make run`" in line or "activate" in line for line in lines[::2])
    documents = [json.loads(text.partition("\n")[2]) for text in done.stdout.split("# ")[1:]]
    assert [[*document] for document in documents] == [["error"]] * len(commands)


def test_a_defect_of_an_import_stays_a_defect():
    own = ModuleNotFoundError("No module named 'lambda_toolkit.nothing'", name="lambda_toolkit.nothing")
    with pytest.raises(ModuleNotFoundError):
        what_to_install(own)


def test_version_and_short_help_are_those_of_the_program():
    shown = CliRunner().invoke(deploy.main, ["--version"])
    declared = re.search(r'version="([^"]+)"', Path("setup.py").read_text(encoding="utf-8"))
    assert declared and shown.exit_code == 0
    assert shown.stdout.startswith(f"lambda-script {declared[1]}, Python 3.")
    for module in list(sys.modules.values()):  # click keeps the help option of a command that a test called alone
        if isinstance(found := getattr(module, "command", None), click.Command):
            found._help_option = None
    for name in ["", "local", *NAMES]:
        short = CliRunner().invoke(deploy.main, [*name.split(), "-h"])
        assert (short.exit_code, short.stdout) == (0, CliRunner().invoke(deploy.main, [*name.split(), "--help"]).stdout)


def test_shell_completes_commands_and_options():
    command = Path(sys.executable).with_name("lambda-script")

    def asked(**env: str) -> str:
        return subprocess.run([command], env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout

    def completed(words: str) -> list[str]:
        count = str(len(words.split(" ")) - 1)
        shown = asked(_LAMBDA_SCRIPT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=count)
        return [line.partition(",")[2] for line in shown.splitlines()]

    assert completed("lambda-script re") == ["rejected", "replay"]
    assert completed("lambda-script local s") == ["simulate"]
    assert completed("lambda-script plan --s") == ["--stage"]
    script = asked(_LAMBDA_SCRIPT_COMPLETE="bash_source")
    assert "-F _lambda_script_completion lambda-script\n" in script, "by its name, wherever it was started from"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["lambda-script"], "lambda-script"),
        (["{bin}/lambda-script"], "lambda-script"),
        (["./lambda-script"], "./lambda-script"),
        (["python", "{root}/deploy.py"], "python {root}/deploy.py"),
        (["{bin}/python", "../deploy.py"], "python ../deploy.py"),
        (["./python", "../deploy.py"], "./python ../deploy.py"),
        (["python", "-m", "lambda_toolkit.pipeline"], "python -m lambda_toolkit.pipeline"),
    ],
)
def test_messages_name_the_command_as_it_was_typed(tmp_path, typed, shown):
    """In usage, in help and in what an error suggests: by its name where the shell finds it, else by its path."""
    places = {"bin": sys.prefix + "/bin", "root": str(ROOT)}
    (folder := tmp_path / "project").mkdir()
    (tmp_path / "deploy.py").symlink_to(ROOT / "deploy.py")
    for name in ("python", "lambda-script"):
        (folder / name).symlink_to(f"{places['bin']}/{name}")
    environ = {**os.environ, "PATH": f"{places['bin']}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = shlex.join([*(word.format(**places) for word in typed), *arguments])  # by a shell, as a person does
        return subprocess.run(["/bin/sh", "-c", words], cwd=folder, env=environ, capture_output=True, text=True)

    shown = shown.format(**places)
    usage = run("plan", "--nonsense").stderr
    assert usage.startswith(f"Usage: {shown} plan [OPTIONS]") and f"Try '{shown} plan --help'" in usage
    missing = run("plan").stderr
    assert missing.endswith(f"A new project: {shown} init\n"), missing


def test_remedies_are_commands_that_can_be_typed():
    """With the options that the running command was given, braces included."""
    with repeated_options("--config '{a}.toml'"):
        text = wording()[Hint.ROLLBACK_TO].format("totes-dev-extract", "3")
    assert text == "To do it: python deploy.py rollback totes-dev-extract --to 3 --config '{a}.toml'"


def test_suggested_commands_repeat_stage_and_configuration(tmp_path, capsys):
    @options.with_request
    def asked(request: options.Request) -> int:
        print(suggested("run"), suggested(), suggested("local up"), sep="\n")
        return 0

    for given, repeated in (
        ((None, Path("config/pipeline.toml")), ""),
        (("prod", Path("config/pipeline.toml")), " --stage prod"),
        ((None, tmp_path / "my shop.toml"), f" --config '{tmp_path}/my shop.toml'"),
        (("a", Path("b.toml")), " --stage a --config b.toml"),
    ):
        with pytest.raises(SystemExit):
            asked(stage=given[0], config=given[1], as_json=False)
        shown = [f"python deploy.py run{repeated}", f"python deploy.py{repeated}"]
        without_stage = repeated.replace(" --stage prod", "").replace(" --stage a", "")
        assert capsys.readouterr().out.splitlines() == [*shown, f"python deploy.py local up{without_stage}"]
