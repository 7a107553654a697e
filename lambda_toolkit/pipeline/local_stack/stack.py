"""The local stack as a whole: started, found again, and stopped with nothing left behind.

Everything it has is below ``.local``: the databases' files, what the emulated AWS keeps, the logs, the mail sink, and
``stack.json`` (readable by its owner alone), which says where everything is while it is up.

Data survives ``down`` and the next ``up``: both databases, and the lake with all else that the emulator knew. So do
ports and passwords, because the functions' secrets hold them. Warehouse and lake belong together, as the warehouse's
ledger names the lake's batches: when one of them was lost or not saved (the machine stopped, a user killed the
emulator), ``up`` starts with both empty, and says so. The source stays as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.local_stack import credentials as accesses
from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.alerting import side_processes
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator import Credentials
from lambda_toolkit.pipeline.local_stack.description import (
    DIRECTORY,
    STACK_FILE,
    Stack,
    documents,
    identities,
    write_stack,
)
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import databases, external_source, postgres_server
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource
from lambda_toolkit.pipeline.local_stack.process import (
    Identity,
    free_port,
    stop_group,
)
from lambda_toolkit.pipeline.local_stack.process import stop as stop_process
from lambda_toolkit.pipeline.local_stack.running import EMULATOR, POSTGRES, running_stack

DISPOSABLE = "disposable"  # exists where the data is that of a main job
LOOPBACK = "127.0.0.1"
DEFAULT_REGION = "eu-west-2"

Progress = Callable[[str], None]


def up(
    root: Path,
    *,
    source_schema: Path | None = None,
    external: ExternalSource | None = None,
    warehouse_file: Path | None = None,
    region: str = DEFAULT_REGION,
    clock_speed: float = 1,
    on_progress: Progress | None = None,
) -> Stack:
    """Start the stack below ``root`` and return it. One that is up already is returned as it is, at ``clock_speed``.

    ``source_schema``: SQL for an empty source database (``root/config/totesys.sql`` unless given). ``external``: what
    the pipeline reads in place of such a database; a stack that is up goes on with the one that it was given.
    ``warehouse_file``: the DuckDB file that is the warehouse; without the lake that filled it, it is set aside.
    ``clock_speed``: how many times faster ``rate()`` schedules fire than they say.
    Whatever goes wrong, Ctrl-C included, nothing is left running. Raises LocalError.
    """
    say = on_progress or _silent
    root = root.resolve()
    directory = root / DIRECTORY
    private_files.make_directory(directory)
    with private_files.open_log(directory / ".gitignore", "wb") as ignored:
        ignored.write(b"*\n")  # it has passwords: git add leaves it out everywhere
    with _locked(directory):
        running = running_stack(root)
        if running is not None:
            say("The local stack is already up")
            stack = _with_source(running, external)
            emulator.set_clock_speed(directory / EMULATOR, clock_speed)
            return stack
        _stop_everything(directory, say)
        if postgres_server.has_data(directory / POSTGRES):
            external_source.check_same(directory, external)
        external_source.remember(directory, external)
        schema = None if external else source_schema or root / "config" / "totesys.sql"
        keep_warehouse = _lake_is_whole(directory, say)
        try:
            stack = _start(
                root,
                schema,
                region,
                clock_speed,
                say,
                keep_warehouse=keep_warehouse,
                warehouse_file=warehouse_file,
            )
            return _with_source(stack, external)
        except BaseException:
            _stop_everything(directory, _silent)
            raise


def down(root: Path, *, wipe: bool = False, on_progress: Progress | None = None) -> bool:
    """Stop the stack below ``root``. Returns False when nothing was running.

    ``wipe`` also deletes all its data. Called twice, the second does nothing.
    """
    say = on_progress or _silent
    directory = root.resolve() / DIRECTORY
    if not directory.is_dir():
        return False
    with _locked(directory):
        stopped = _stop_everything(directory, say)
        if external_source.recall(directory) is not None:
            say("The URL of the source is forgotten")
        if wipe:
            postgres_server.remove(directory / POSTGRES)  # its data may be outside the directory
    if wipe:
        shutil.rmtree(directory)
    return stopped


def simulated_source(stack: Stack) -> Database:
    """The source that the stack started, for its owner: sample data and simulated activity are written there alone.

    Raises LocalError where the pipeline reads another database, and where another server has its address.
    """
    if stack.external is not None:
        raise LocalError(
            f"The pipeline reads {stack.external.place}, which this stack did not start, and nothing is written there. "
            f"For a source that is simulated: {suggested('local down --wipe')}, then: {suggested('local up')}"
        )
    server, source = postgres_server.find(stack.directory / POSTGRES), stack.source_admin
    if server is None or (server.host, server.port) != (source.host, source.port):
        raise LocalError(
            f"The server at {source.host}:{source.port} is not the one that this stack started: nothing is written "
            f"there. Start the stack again: {suggested('local down')}, then: {suggested('local up')}"
        )
    return source


def has_kept_data(root: Path) -> bool:
    """Whether the stack below ``root`` has data that only a user may delete: of ``local up``, not of a main job."""
    directory = root.resolve() / DIRECTORY
    return postgres_server.has_data(directory / POSTGRES) and not (directory / DISPOSABLE).is_file()


def set_disposable(root: Path, disposable: bool) -> None:
    """Note whether the next main job may delete the data of the stack below ``root``."""
    marker = root.resolve() / DIRECTORY / DISPOSABLE
    if disposable:
        private_files.make_directory(marker.parent)
        marker.touch()
    else:
        marker.unlink(missing_ok=True)


def set_clock_speed(stack: Stack, speed: float) -> None:
    """Make ``rate()`` schedules fire ``speed`` times as often as they say, from now on."""
    emulator.set_clock_speed(stack.directory / EMULATOR, speed)


def _start(
    root: Path,
    source_schema: Path | None,
    region: str,
    clock_speed: float,
    say: Progress,
    *,
    keep_warehouse: bool,
    warehouse_file: Path | None = None,
) -> Stack:
    directory = root / DIRECTORY
    processes: dict[str, Identity] = {}

    def started(name: str, process: Identity) -> None:
        processes[name] = process  # written immediately: if this command is killed, the next one finds what to stop
        private_files.write(directory / "processes.json", documents(processes))

    access = accesses.of(directory)
    credentials = Credentials(access.access_key_id, access.secret_access_key)
    log = directory / "emulator.log"
    say("Starting PostgreSQL")  # first: schedules that the emulator remembers fire as soon as it runs
    server = postgres_server.start(directory / POSTGRES, port=free_port(access.postgres_port))
    started(POSTGRES, server.identity)
    if not keep_warehouse:
        databases.drop_warehouse(server)
    if warehouse_file is not None and not (keep_warehouse and (directory / EMULATOR / "state").is_dir()):
        _set_aside(warehouse_file, say)
    source, source_admin, warehouse = databases.prepare(server, source_schema, access.passwords, say)
    say("Starting the emulated AWS")
    emulator.set_clock_speed(directory / EMULATOR, clock_speed)
    aws = emulator.launch(
        directory / EMULATOR,
        credentials=credentials,
        region=region,
        mail_sink=directory / "mail-sink",
        log=log,
        port=free_port(access.emulator_port),
        on_progress=say,
    )
    started(EMULATOR, aws.process)
    slack_port = free_port(access.slack_port)
    accesses.keep(directory, replace(access, emulator_port=aws.port, postgres_port=server.port, slack_port=slack_port))
    stack = Stack(
        root=root,
        aws_endpoint_url=aws.endpoint_url,
        region=region,
        account_id=emulator.ACCOUNT,
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
        source=source,
        source_admin=source_admin,
        warehouse=warehouse,
        processes=processes,
        slack_url=f"http://{LOOPBACK}:{slack_port}{access.slack_path}",
    )
    write_stack(stack)
    for part in side_processes.READY:
        started(part, side_processes.launch(part, directory))
    write_stack(stack)
    emulator.await_ready(aws, log)
    for part in side_processes.READY:
        side_processes.await_ready(part, processes[part], directory)
    say("The local stack is up")
    return stack


def _set_aside(file: Path, say: Progress) -> None:
    """Renames a warehouse that another lake filled: its user may want it still."""
    if not file.is_file():
        return
    aside = file.with_name(f"{file.stem}.before{file.suffix}")
    file.replace(aside)
    say(f"The lake is new: the warehouse starts empty, and the file that was there is {aside} now")


def _with_source(stack: Stack, external: ExternalSource | None) -> Stack:
    """The stack with the source that it was given now, if it was: its URL may have another password than before."""
    if external is None or external == stack.external:
        return stack
    external_source.check_same(stack.directory, external)
    given = replace(stack, external=external)
    write_stack(given)
    return given


def _stop_everything(directory: Path, say: Progress) -> bool:
    """Stop whatever of this stack still runs. Returns whether anything did."""
    with _undisturbed():
        recorded = _recorded(directory)
        stopped = False
        for part in side_processes.READY:
            if part in recorded:
                stopped |= stop_group(recorded[part])
        if EMULATOR in recorded:
            stopped |= emulator.stop(directory / EMULATOR, recorded[EMULATOR])
        stopped |= postgres_server.stop(directory / POSTGRES)
        if POSTGRES in recorded:
            stopped |= stop_process(recorded[POSTGRES])
        for name in (STACK_FILE, "processes.json"):
            (directory / name).unlink(missing_ok=True)
        if external_source.recall(directory) is not None:
            external_source.forget_url(directory)
    if stopped:
        say("The local stack is stopped")
    return stopped


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not end this halfway, with one part stopped and the others left running."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is sent signals
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _recorded(directory: Path) -> dict[str, Identity]:
    path = directory / "processes.json"
    return identities(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _lake_is_whole(directory: Path, say: Progress) -> bool:
    """Whether the emulated AWS remembers the lake; else what it has is dropped, and the warehouse must be, too.

    The source is not a copy: it stays, and the next run reads it again.
    """
    has_databases = postgres_server.has_data(directory / POSTGRES)
    has_lake = (directory / EMULATOR / "state").is_dir()
    if emulator.lost_memory(directory / EMULATOR):
        say("The emulated AWS was killed before it saved its state: lake and warehouse start empty, the source stays")
    elif has_databases and not has_lake:
        say("The lake was lost: the warehouse starts empty, too, and the source stays")
    elif has_lake and not has_databases:
        say("The databases were lost: the lake starts empty, too")
    else:
        return True
    _remove_lake(directory)
    return False


def _remove_lake(directory: Path) -> None:
    for name in (EMULATOR, "mail-sink", "slack-sink"):
        if (directory / name).is_dir():
            shutil.rmtree(directory / name)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[BinaryIO]:
    """One up or down at a time."""
    with private_files.open_log(directory / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError(
                f"Another command is starting or stopping the local stack in {directory}. Wait until it is done."
            ) from None
        yield lock


def _silent(_: str) -> None:
    """Report nothing."""
