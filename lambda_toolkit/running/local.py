"""Run a function on this machine, from the package that a deploy would upload, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess  # nosec B404  # the interpreter is run from a list of arguments
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from lambda_toolkit.errors import ToolkitError
from lambda_toolkit.packaging.bytecode import can_compile_for
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.imports.runtime_modules import PROVIDED
from lambda_toolkit.packaging.interpreters import find_interpreter
from lambda_toolkit.packaging.layer_zip import Layer, build_layer, layer_of
from lambda_toolkit.packaging.uv import cache_folder
from lambda_toolkit.resources.monitoring.log_group import group_name
from lambda_toolkit.running import runner
from lambda_toolkit.running.invocation import Invocation, payload_of
from lambda_toolkit.spec.model import HOST_PLATFORM, THIS_RUNTIME, FunctionSpec

_INHERITED = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_INIT_SECONDS = 60  # for its imports; Lambda permits 10, and this machine may be slower
_POLL = 0.02  # seconds between two looks at the memory
_TAIL = 4096  # characters
_ACCOUNT = "123456789012"
_MACHINES = {"x86_64": ("x86_64", "AMD64"), "arm64": ("aarch64", "arm64")}


def invoke_locally(
    spec: FunctionSpec, event: Any, *, on_log: Callable[[str], None] = lambda _: None, region: str | None = None
) -> Invocation:
    """Run the function of ``spec`` with ``event`` here. Nothing is deployed, and nothing of the run stays.

    Its process has the package and the layer that Lambda would have and no other distribution, the declared variables,
    and this process's AWS credentials. It is ended after ``timeout`` seconds, and, on Linux, where it uses more than
    ``memory``. ``on_log`` is called with each line of its log. Raises ToolkitError where the package cannot be built.
    """
    payload = payload_of(event)
    spec = _runnable(spec, on_log)
    package = build(spec)
    layer = layer_of(spec)
    built = build_layer(layer if can_compile_for(spec.runtime) else replace(layer, bytecode=False)) if layer else None
    if spec.layers:
        on_log(f"{', '.join(spec.layers)}: what these layers have is not here, but on Lambda alone.")
    python = find_interpreter(spec.runtime) or Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="lambda-script-", ignore_cleanup_errors=True) as directory:
        task, provided = Path(directory) / "task", Path(directory) / "runtime"
        zipfile.ZipFile(BytesIO(package.content)).extractall(task)  # built here
        provided.mkdir()
        for name, place in _provided():
            (provided / name).symlink_to(place)
        paths = [str(task), *_declared_paths(spec, task), *([str(_unpacked(built))] if built else [])]
        request = {
            "handler": package.handler,
            "paths": paths,
            "provided": [str(provided)],
            "event": json.loads(payload),
            "timeout": spec.timeout,
            "context": _context(spec, region),
        }
        process = _Process(
            [str(python), "-I", "-S", "-B", runner.__file__], task, _environment(spec, task, package.handler, region)
        )
        return process.run(request, spec, on_log)


def _runnable(spec: FunctionSpec, on_log: Callable[[str], None]) -> FunctionSpec:
    """``spec`` with what this machine can run: another Python, processor or system has other compiled modules."""
    if find_interpreter(spec.runtime) is None:
        on_log(f"There is no Python {spec.runtime.removeprefix('python')} on this machine: {THIS_RUNTIME} runs it.")
        spec = replace(spec, runtime=THIS_RUNTIME)
    same = sys.platform == "linux" and platform.machine() in _MACHINES[spec.architecture]
    if spec.platform != HOST_PLATFORM and not same:
        spec = replace(spec, platform=HOST_PLATFORM, runtime=THIS_RUNTIME)
    return spec


def _provided() -> Iterator[tuple[str, Path]]:
    """The modules of Lambda's runtime that this Python has, and where."""
    for name in sorted(PROVIDED):
        found = importlib.util.find_spec(name)
        if found is not None and found.origin:
            place = Path(found.origin)
            yield (name, place.parent) if place.name == "__init__.py" else (place.name, place)


def _declared_paths(spec: FunctionSpec, task: Path) -> Iterator[str]:
    for place in (spec.environment or {}).get("PYTHONPATH", "").split(":"):
        if place:
            yield str(task / place.removeprefix("/var/task/")) if place.startswith("/var/task/") else place


def _unpacked(layer: Layer) -> Path:
    """The folder of the layer's modules, unpacked once into the cache."""
    folder = cache_folder() / "unpacked" / layer.path.stem
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=folder.parent))
        with zipfile.ZipFile(layer.path) as archive:
            archive.extractall(partial)  # built here
        try:
            partial.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(partial, ignore_errors=True)
    return folder / "python"


def _environment(spec: FunctionSpec, task: Path, handler: str, region: str | None) -> dict[str, str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    given = {
        name: value for name, value in os.environ.items() if name in (*_INHERITED, *_PROXIES) or name.startswith("AWS_")
    }
    found = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    places = {"AWS_REGION": found, "AWS_DEFAULT_REGION": found} if found else {}
    return {
        **given,
        **places,
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        "PYTHONIOENCODING": "utf-8",
        "LAMBDA_TASK_ROOT": str(task),
        "_HANDLER": handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group or group_name(spec.name),
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        **(spec.environment or {}),
    }


def _context(spec: FunctionSpec, region: str | None) -> dict[str, Any]:
    return {
        "name": spec.name,
        "arn": f"arn:aws:lambda:{region or 'local'}:{_ACCOUNT}:function:{spec.name}",
        "memory": spec.memory,
        "request_id": str(uuid.uuid4()),
        "log_group": spec.log_group or group_name(spec.name),
        "log_stream": "local",
    }


@dataclass
class _Process:
    """The process of one invocation."""

    command: list[str]
    folder: Path
    environment: Mapping[str, str]

    def run(self, request: dict[str, Any], spec: FunctionSpec, on_log: Callable[[str], None]) -> Invocation:
        """Run it, and end it where it takes too long or too much."""
        answer, answer_end = os.pipe()
        started, started_end = os.pipe()
        try:
            process = subprocess.Popen(
                [*self.command, str(answer_end)],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(answer_end, started_end),
                start_new_session=True,
            )  # nosec B603
        except OSError as error:
            for end in (answer, started, answer_end, started_end):
                os.close(end)
            raise ToolkitError(f"Cannot start {self.command[0]}: {error.strerror}.") from error
        os.close(answer_end)
        os.close(started_end)
        lines: list[str] = []
        begun, answered = _Reader(started), _Reader(answer)
        log = threading.Thread(target=_read_lines, args=(process.stdout, lines, on_log), daemon=True)
        for reader in (begun, answered, log):
            reader.start()
        limit = _Limit(process.pid, spec, begun)
        try:
            with suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as document:
                document.write(json.dumps({**request, "started": started_end}).encode())
            while process.poll() is None and limit.exceeded() is None:
                time.sleep(_POLL)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it started
            process.wait()
        for reader in (begun, answered, log):
            reader.join(1)
        return self._invocation(answered.content, limit.reached, process.returncode, lines, limit.largest)

    def _invocation(self, answer: bytes, limit: str | None, code: int, lines: list[str], largest: int) -> Invocation:
        tail = "\n".join(lines)[-_TAIL:]
        if largest:
            tail += f"\nMax Memory Used: {largest} MB"
        if limit:
            return Invocation(None, limit, tail)
        try:
            outcome = json.loads(answer)
        except ValueError:
            return Invocation(None, f"The process ended with {code} (Runtime.ExitError)", tail)
        if "errorType" in outcome:
            return Invocation(None, f"{outcome['errorMessage']} ({outcome['errorType']})", tail)
        return Invocation(outcome["result"], None, tail)


class _Reader(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, end: int) -> None:
        super().__init__(daemon=True)
        self._end = end
        self.content = b""
        self.ended_at: float | None = None

    def run(self) -> None:
        """Read."""
        with os.fdopen(self._end, "rb") as pipe:
            self.content = pipe.read()
        self.ended_at = time.monotonic()


class _Limit:
    """The limits of one process: of its start, its time and its memory."""

    def __init__(self, pid: int, spec: FunctionSpec, started: _Reader) -> None:
        self._pid, self._spec, self._started = pid, spec, started
        self._begun = time.monotonic()
        self.reached: str | None = None
        self.largest = 0

    def exceeded(self) -> str | None:
        """Which limit is exceeded now, in words; kept as ``reached``."""
        self.reached = self._look()
        return self.reached

    def _look(self) -> str | None:
        now, handled = time.monotonic(), self._started.ended_at
        used = _memory(self._pid)
        self.largest = max(self.largest, used)
        if used > self._spec.memory:
            return f"It used {used} MB of {self._spec.memory} MB and was ended (Runtime.OutOfMemory)"
        if handled is None and now - self._begun > _INIT_SECONDS:
            return f"Its imports took more than {_INIT_SECONDS} seconds (Sandbox.Timedout)"
        if handled is not None and now - handled > self._spec.timeout:
            return f"Task timed out after {self._spec.timeout:.2f} seconds (Sandbox.Timedout)"
        return None


def _memory(pid: int) -> int:
    """The resident memory of a process in MB; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024)


def _read_lines(pipe: IO[bytes], lines: list[str], on_log: Callable[[str], None]) -> None:
    for line in pipe:
        text = line.decode("utf-8", "replace").rstrip("\n")
        lines.append(text)
        on_log(text)
