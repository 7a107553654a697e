"""The emulated AWS: ministack in an environment of its own, on 127.0.0.1, with IAM enforced.

What it keeps lives below one directory: the objects of its buckets are written as they come, everything else when it is
asked to end. An emulator that was killed has therefore lost part of its memory: ``unsaved`` says so to the next start.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess  # nosec B404
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGTERM

from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator_environment, emulator_gate
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.process import (
    LOOPBACK,
    Identity,
    group_of,
    identify,
    is_alive,
    stop_group,
    wait_until,
)

ACCOUNT = "000000000000"
START_TIMEOUT = 60.0  # seconds: the first start compiles ministack
STOP_TIMEOUT = 20.0  # seconds
LAUNCHER = Path(__file__).with_name("emulator_launcher.py")


@dataclass(frozen=True)
class Credentials:
    """The emulated account's administrator: the deployer."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    port: int
    process: Identity
    credentials: Credentials

    @property
    def endpoint_url(self) -> str:
        """What AWS_ENDPOINT_URL must be."""
        return f"http://{LOOPBACK}:{self.port}"


def launch(
    directory: Path,
    *,
    credentials: Credentials,
    region: str,
    mail_sink: Path,
    log: Path,
    port: int,
    on_progress: Callable[[str], None] = lambda message: None,
    also: Sequence[str] = (),
) -> Emulator:
    """Start the emulator without waiting (see ``await_ready``). ``also``: more packages for its environment.

    Raises LocalError when its environment cannot be installed or the process does not start.
    """
    python = emulator_environment.interpreter(directory.parent / "cache", on_progress, also)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)  # what it keeps holds the secrets that were put into it
    for name in ("s3", "state", "tmp", "home"):
        (directory / name).mkdir(exist_ok=True)
    _unsaved(directory).touch()
    with private_files.open_log(log, "wb") as output:
        process = subprocess.Popen(  # nosec B603
            [
                python,
                "-I",  # neither this project's directory nor the user's packages are on its path
                LAUNCHER,
                f"--clock-speed-file={clock_speed_file(directory)}",
                f"--mail-sink={mail_sink}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env=_environment(directory, python, credentials, region, port),
            umask=private_files.UMASK,
            start_new_session=True,  # a process group of its own, to be stopped with all its workers
        )
    identity = identify(process.pid)
    process.returncode = 0  # it outlives this command on purpose
    if identity is None:
        raise LocalError(f"The emulator ended as soon as it was started. {end_of(log)}")
    return Emulator(port, identity, credentials)


def await_ready(emulator: Emulator, log: Path) -> None:
    """Return when the emulator answers. Raises LocalError with the end of its log when it ends or is too late."""

    def answered() -> bool:
        if not is_alive(emulator.process):
            raise LocalError(f"The emulator ended while starting. {end_of(log)}")
        return _answers(emulator)

    if not wait_until(answered, START_TIMEOUT):
        raise LocalError(f"The emulator did not answer within {START_TIMEOUT:.0f} s. {end_of(log)}")


def stop(directory: Path, process: Identity) -> bool:
    """Stop the emulator and all that it started. False when nothing ran."""
    was_there = bool(group_of(process))
    ended_well = is_alive(process) and stop_group(process, SIGTERM, STOP_TIMEOUT)
    stop_group(process)
    if ended_well:
        _unsaved(directory).unlink(missing_ok=True)
    shutil.rmtree(directory / "tmp", ignore_errors=True)
    return was_there


def lost_memory(directory: Path) -> bool:
    """Whether the last emulator of this directory was killed before it could write down what it knew."""
    return _unsaved(directory).exists()


def set_clock_speed(directory: Path, speed: float) -> None:
    """Make ``rate()`` schedules fire ``speed`` times as often as they say, from now on."""
    path = clock_speed_file(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(str(speed), encoding="utf-8")
    temporary.replace(path)


def clock_speed_file(directory: Path) -> Path:
    """The file that the emulator reads the speed of its schedules from."""
    return directory / "clock-speed"


def end_of(log: Path) -> str:
    """The last lines of a log file, for a message."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:] if log.is_file() else []
    return f"The end of {log}:\n" + "\n".join(f"    {line}" for line in lines)


def _unsaved(directory: Path) -> Path:
    return directory / "unsaved"


def _environment(directory: Path, python: Path, credentials: Credentials, region: str, port: int) -> dict[str, str]:
    """All that the emulator sees. Functions see it too, with the keys of their role in place of the administrator's."""
    return {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(directory / "home"),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "TMPDIR": str(directory / "tmp"),
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{directory / 'no-docker.sock'}",  # a Docker that runs here is not the emulator's
        "LAMBDA_EXECUTOR": "local",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(directory / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(directory / "s3"),
    }


def _answers(emulator: Emulator) -> bool:
    """Whether it is healthy. It answers its administrator alone: what listens there has this stack's key."""
    url = emulator_gate.presign(
        f"{emulator.endpoint_url}/_ministack/health",
        key=emulator.credentials.access_key_id,
        secret=emulator.credentials.secret_access_key,
        region="local",
        service="health",
        expires=int(START_TIMEOUT),
        now=datetime.now(UTC),
    )
    connection = http.client.HTTPConnection(LOOPBACK, emulator.port, timeout=5)
    try:
        connection.request("GET", url.removeprefix(emulator.endpoint_url))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
