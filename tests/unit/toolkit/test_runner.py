"""The program that runs a handler once, and what a function finds on this machine: as on Lambda."""

from __future__ import annotations

import io
import json
import logging
import os
import platform
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.packaging.layer_zip import Layer
from lambda_toolkit.running import local, runner
from lambda_toolkit.spec.model import THIS_RUNTIME, FunctionSpec

CONTEXT = {
    "name": "report",
    "arn": "arn:aws:lambda:local:123456789012:function:report",
    "memory": 256,
    "request_id": "1-2-3",
    "log_group": "/aws/lambda/report",
    "log_stream": "local",
}
MODULE = """
import logging, sys
def same(event, context): return event
def tells(event, context):
    return [context.function_name, context.function_version, context.invoked_function_arn,
        context.memory_limit_in_mb, context.aws_request_id, context.log_group_name, context.log_stream_name,
        context.identity, context.client_context]
def left(event, context): return context.get_remaining_time_in_millis()
def logs(event, context): logging.getLogger("own").error("written")
def fails(event, context): raise KeyError("x")
def ends(event, context): sys.exit(event)
def returns(event, context): return {1, 2}
def circle(event, context):
    a = []
    a.append(a)
    return a
def path(event, context): return [sys.path[:1], sys.path[-1:], sys.argv]
"""


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules; what the program changes of this process is as before afterwards."""
    (tmp_path / "in_folder").mkdir()
    (tmp_path / "in_folder" / "handlers_of_test.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "in_folder" / "broken_of_test.py").write_text("x = (\n", encoding="utf-8")
    (tmp_path / "in_folder" / "lacking_of_test.py").write_text("import nothere_of_test\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [])
    known, handled = set(sys.modules), logging.getLogger().handlers[:]
    yield tmp_path
    logging.getLogger().handlers[:] = handled
    for name in set(sys.modules) - known:
        del sys.modules[name]


def run(folder: Path, handler: str, event: Any = None, *, timeout: float = 30, begins: bool = True) -> dict[str, Any]:
    """What the program writes. ``begins``: whether it closes the pipe by which the time limit of the handler begins."""
    answer, answer_end = os.pipe()
    started, started_end = os.pipe()
    request = {
        "handler": handler,
        "paths": [str(folder)],
        "provided": ["/provided"],
        "event": event,
        "timeout": timeout,
        "started": started_end,
        "context": CONTEXT,
    }
    sys.argv = ["runner", str(answer_end)]
    stdin = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(json.dumps(request).encode()))
    try:
        runner.main()
    finally:
        sys.stdin = stdin
    with os.fdopen(answer, "rb") as pipe, os.fdopen(started, "rb") as begin:
        found = json.loads(pipe.read())
        os.set_blocking(begin.fileno(), False)
        has_begun = begin.read() == b""
    if not has_begun:
        os.close(started_end)
    assert has_begun is begins
    return dict(found)


def test_handler_gets_event_and_context(handlers: Path) -> None:
    folder = handlers / "in_folder"
    event = {"a": ["é", None, 1.5]}
    assert run(folder, "handlers_of_test.same", event) == {"result": event}
    assert run(handlers, "in_folder/handlers_of_test.same", 5) == {"result": 5}
    assert run(folder, "handlers_of_test.tells")["result"] == [
        *("report", "$LATEST", CONTEXT["arn"], "256", "1-2-3", "/aws/lambda/report", "local", None, None),
    ]
    assert 29_000 < run(folder, "handlers_of_test.left")["result"] <= 30_000
    assert run(folder, "handlers_of_test.left", timeout=-1)["result"] == 0
    assert run(folder, "handlers_of_test.path")["result"] == [[str(folder)], ["/provided"], [""]]


@pytest.mark.parametrize(
    ("handler", "event", "kind", "message"),
    [
        ("handlers_of_test.nothere", None, "Runtime.HandlerNotFound", "Handler 'nothere' missing on module"),
        (
            "nothere_of_test.f",
            None,
            "Runtime.ImportModuleError",
            "Unable to import module 'nothere_of_test': No module",
        ),
        ("lacking_of_test.f", None, "Runtime.ImportModuleError", "Unable to import module 'lacking_of_test'"),
        ("broken_of_test.f", None, "Runtime.UserCodeSyntaxError", "Syntax error in module 'broken_of_test'"),
        ("handlers_of_test.returns", None, "Runtime.MarshalError", "Unable to marshal response: Object of type set"),
        ("handlers_of_test.circle", None, "Runtime.MarshalError", "Unable to marshal response: Circular"),
        ("handlers_of_test.fails", None, "KeyError", "'x'"),
        ("handlers_of_test.ends", 3, "Runtime.ExitError", "exit status 3"),
    ],
)
def test_error_is_that_of_lambda(handlers: Path, handler: str, event: Any, kind: str, message: str) -> None:
    begins = kind not in ("Runtime.HandlerNotFound", "Runtime.ImportModuleError", "Runtime.UserCodeSyntaxError")
    found = run(handlers / "in_folder", handler, event, begins=begins)
    assert (found["errorType"], found["stackTrace"]) == (kind, [])
    assert found["errorMessage"].startswith(message)


def test_traceback_and_log_are_in_the_functions_log(handlers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = handlers / "in_folder"
    run(folder, "handlers_of_test.logs")
    kind, at, request, text = capsys.readouterr().out.splitlines()[0].split("\t")
    assert (kind, request, text) == ("[ERROR]", "1-2-3", "written")
    written = time.strptime(at[:-5], "%Y-%m-%dT%H:%M:%S")
    assert abs(time.mktime(written) - time.mktime(time.gmtime())) < 600
    run(folder, "handlers_of_test.fails")
    assert "Traceback" in capsys.readouterr().err
    run(folder, "lacking_of_test.f", begins=False)
    assert "import nothere_of_test" in capsys.readouterr().err


def spec(**different: Any) -> FunctionSpec:
    return FunctionSpec(**{"name": "report", "source": Path("f.py"), **different})


def test_variables_are_those_of_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = "PATH HOME TMPDIR SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE LD_LIBRARY_PATH"
    proxies = "HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy"
    given = {name: f"of {name}" for name in (*kept.split(), *proxies.split(), "AWS_PROFILE", "AWS_REGION")}
    monkeypatch.setattr(os, "environ", {**given, "SECRET": "x", "PYTHONPATH": "/own", "AWSX": "x"})
    declared = spec(environment={"MODE": "x", "HOME": "/declared"}, memory=256, runtime="python3.12")
    found = local._environment(declared, Path("/task"), "f.handler", "eu-west-2")
    assert found == {
        **given,
        "AWS_REGION": "eu-west-2",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        "PYTHONIOENCODING": "utf-8",
        "LAMBDA_TASK_ROOT": "/task",
        "_HANDLER": "f.handler",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_NAME": "report",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/report",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "MODE": "x",
        "HOME": "/declared",
    }
    assert local._environment(spec(log_group="/shop"), Path("/t"), "f", None)["AWS_LAMBDA_LOG_GROUP_NAME"] == "/shop"


@pytest.mark.parametrize(
    ("region", "variables", "expected"),
    [
        ("eu-west-2", {"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}, "eu-west-2"),
        (None, {"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}, "a"),
        (None, {"AWS_DEFAULT_REGION": "b"}, "b"),
        (None, {}, None),
    ],
)
def test_region_is_the_first_that_is_known(
    monkeypatch: pytest.MonkeyPatch, region: str | None, variables: dict[str, str], expected: str | None
) -> None:
    monkeypatch.setattr(os, "environ", variables)
    found = local._environment(spec(), Path("/task"), "f", region)
    assert (found.get("AWS_REGION"), found.get("AWS_DEFAULT_REGION")) == (expected, expected)


def test_context_is_that_of_the_function() -> None:
    found = local._context(spec(memory=256), None)
    assert len(found.pop("request_id")) == 36
    assert found == {name: value for name, value in CONTEXT.items() if name != "request_id"}
    of_others = local._context(spec(log_group="/shop"), "eu-west-2")
    assert (of_others["log_group"], of_others["arn"].split(":")[3]) == ("/shop", "eu-west-2")


def test_search_path_of_lambda_is_that_of_the_package() -> None:
    declared = spec(environment={"PYTHONPATH": "/var/task/lib::/opt/x:/var/task/a/b"})
    assert list(local._declared_paths(declared, Path("/here"))) == ["/here/lib", "/opt/x", "/here/a/b"]
    assert list(local._declared_paths(spec(), Path("/here"))) == []


@pytest.mark.parametrize(
    ("architecture", "machine", "system", "own"),
    [
        ("x86_64", "x86_64", "linux", True),
        ("x86_64", "AMD64", "linux", True),
        ("arm64", "aarch64", "linux", True),
        ("arm64", "arm64", "linux", True),
        ("arm64", "x86_64", "linux", False),
        ("x86_64", "arm64", "linux", False),
        ("x86_64", "x86_64", "darwin", False),
    ],
)
def test_requirements_are_those_that_this_machine_can_load(
    monkeypatch: pytest.MonkeyPatch, architecture: str, machine: str, system: str, own: bool
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(local, "find_interpreter", lambda runtime: Path(sys.executable))
    said: list[str] = []
    found = local._runnable(spec(architecture=architecture, runtime="python3.9"), said.append)
    assert (found.platform, found.runtime) == ((None, "python3.9") if own else ("host", THIS_RUNTIME))
    assert said == []


def test_python_that_is_not_here_is_replaced_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_interpreter", lambda runtime: None)
    said: list[str] = []
    assert local._runnable(spec(runtime="python3.9"), said.append).runtime == THIS_RUNTIME
    assert said[0].startswith("There is no Python 3.9 on this machine")


def test_layer_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(local, "cache_folder", lambda: tmp_path / "cache")
    with zipfile.ZipFile(tmp_path / "layer-1.zip", "w") as archive:
        archive.writestr("python/one.py", "ONE = 1\n")
    layer = Layer(tmp_path / "layer-1.zip", 0, 0, ())
    folder = local._unpacked(layer)
    assert folder == tmp_path / "cache" / "unpacked" / "layer-1" / "python"
    (folder / "one.py").write_text("ONE = 2\n", encoding="utf-8")
    assert (local._unpacked(layer) / "one.py").read_text(encoding="utf-8") == "ONE = 2\n"
    assert [path.name for path in (tmp_path / "cache" / "unpacked").iterdir()] == ["layer-1"]


def test_output_is_text_line_by_line() -> None:
    lines: list[str] = []
    said: list[str] = []
    local._read_lines(io.BytesIO(b"one\n\ntw\xffo\nend"), lines, said.append)
    assert lines == said == ["one", "", "tw\ufffdo", "end"]


def test_memory_of_a_process_is_in_megabytes() -> None:
    assert 5 < local._memory(os.getpid()) < 20_000
    assert local._memory(2**22 + 1) == 0
