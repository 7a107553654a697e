"""The stack goes up and down as one, and leaves no process and no port behind, whatever happens."""

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.alerting import side_processes
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.description import Stack, environment, read_stack
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource
from lambda_toolkit.pipeline.local_stack.process import Identity, is_alive
from lambda_toolkit.pipeline.local_stack.running import EMULATOR, load_stack, running_stack
from tests.support.account import SCHEMA, Account, eventually

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    embedded.down(tmp_path, wipe=True)


def up(root: Path, said: list[str] | None = None) -> Stack:
    return embedded.up(root, source_schema=SCHEMA, on_progress=(said if said is not None else []).append)


def processes_of(root: Path) -> list[str]:
    """Every live process that has something to do with this directory."""
    link = root / ".local" / "postgres" / "home"
    places = [str(root), *([str(link.readlink())] if link.is_symlink() else [])]
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if any(place in command for place in places) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


def ports_of(stack: Stack) -> list[int]:
    return [int(stack.aws_endpoint_url.rsplit(":", 1)[1]), stack.source.port]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_up_twice_is_up_and_down_twice_is_down(root: Path) -> None:
    said: list[str] = []

    first = up(root, said)
    second = up(root, said)

    assert second == first
    assert said[-1] == "The local stack is already up"
    assert load_stack(root) == first
    assert all(listens(port) for port in ports_of(first))
    assert embedded.down(root)
    assert not embedded.down(root)
    assert not any(listens(port) for port in ports_of(first))
    assert processes_of(root) == []
    assert running_stack(root) is None
    with pytest.raises(LocalError, match="local up"):
        load_stack(root)


def test_everything_survives_down_and_up(root: Path) -> None:
    before = up(root)
    account = Account(before)
    account.function("kept", "def handle(event, context):\n    return 'still here'\n")
    s3 = account.client("s3")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": before.region})
    s3.put_object(Bucket="kept", Key="manifests/1.json", Body=b"{}")
    before.source_admin.connect().run("INSERT INTO currency (currency_id, currency_code) VALUES (1, 'GBP')")
    embedded.down(root)

    after = up(root)

    account = Account(after)
    assert account.invoke("kept") == (None, "still here")
    assert account.client("s3").get_object(Bucket="kept", Key="manifests/1.json")["Body"].read() == b"{}"
    assert after.source.connect().run("SELECT currency_code FROM currency") == [["GBP"]]
    assert environment(after) == environment(before)  # open shells and stored secrets stay right
    embedded.down(root, wipe=True)
    assert list(root.iterdir()) == []


def test_up_after_a_crash_cleans_up_and_keeps_the_source(root: Path) -> None:
    """After a crash up cleans what is left and keeps the source alone."""
    crashed = up(root)
    account = Account(crashed)
    account.function("lingering", "def handle(event, context):\n    return 'fine'\n")
    account.invoke("lingering")
    crashed.source_admin.connect().run("INSERT INTO currency (currency_id, currency_code) VALUES (1, 'GBP')")
    crashed.warehouse.connect().run("CREATE TABLE ledger (batch bigint)")
    os.kill(crashed.processes[EMULATOR].pid, signal.SIGKILL)
    eventually(lambda: running_stack(root) is None)
    with pytest.raises(LocalError, match="the emulated AWS ended unexpectedly"):
        load_stack(root)
    said: list[str] = []

    again = up(root, said)

    assert any("start empty, the source stays" in message for message in said)
    assert again.source.connect().run("SELECT currency_code FROM currency") == [["GBP"]]
    assert again.warehouse.connect().run("SELECT to_regclass('ledger')") == [[None]]
    assert Account(again).client("lambda").list_functions()["Functions"] == []
    assert not any(is_alive(process) for process in crashed.processes.values())
    embedded.down(root)
    assert processes_of(root) == []


def test_an_interrupted_up_leaves_nothing_running(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[str] = []

    def interrupt(*_: object) -> None:
        running.extend(processes_of(root))
        raise KeyboardInterrupt

    monkeypatch.setattr(emulator, "await_ready", interrupt)
    with pytest.raises(KeyboardInterrupt):
        up(root)

    assert len(running) >= 3  # PostgreSQL, the emulator, the alarm evaluator
    assert processes_of(root) == []
    assert not (root / ".local" / "stack.json").exists()


def test_a_second_interrupt_does_not_end_the_stopping(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up(root)
    stop = embedded.stop_group

    def impatient(evaluator: Identity) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return stop(evaluator)

    monkeypatch.setattr(embedded, "stop_group", impatient)
    handler = signal.getsignal(signal.SIGINT)

    assert embedded.down(root)
    assert processes_of(root) == []
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_stranger_with_the_id_of_a_dead_process_is_left_alone(root: Path) -> None:
    up(root)
    embedded.down(root)
    me = {"pid": os.getpid(), "started": 1.0}
    (root / ".local" / "processes.json").write_text(
        json.dumps({"emulator": me, "postgres": me, "alarm_evaluator": me}), encoding="utf-8"
    )

    assert not embedded.down(root)


def test_a_start_that_fails_says_so_with_the_end_of_the_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = root / "launcher.py"
    broken.write_text("raise SystemExit('ministack.services.sns._fanout is missing')\n", encoding="utf-8")
    monkeypatch.setattr(emulator, "LAUNCHER", broken)

    with pytest.raises(LocalError, match="_fanout is missing"):
        up(root)

    assert processes_of(root) == []


def test_failing_side_process_stops_the_stack_with_a_message(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the alarm evaluator and the receivers do not start, the stack stops with a message about one of them."""
    monkeypatch.setattr(side_processes.sys, "executable", "/bin/false")

    with pytest.raises(LocalError, match="ended (right after its start|while starting)"):
        up(root)

    assert processes_of(root) == []


def test_only_one_command_at_a_time(root: Path) -> None:
    (root / ".local").mkdir()
    with embedded._locked(root / ".local"), pytest.raises(LocalError, match="Another command"):
        up(root)


def test_stack_json_is_private_and_says_where_everything_is(stack: Stack) -> None:
    path = stack.directory / "stack.json"
    document = json.loads(path.read_text(encoding="utf-8"))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for name in ("source", "source_admin", "warehouse"):
        assert set(document[name]) == {"host", "port", "database", "user", "password"}
        assert document[name]["host"] == "127.0.0.1"
    assert document["aws_endpoint_url"] == stack.aws_endpoint_url
    assert document["region"] == stack.region


def test_no_secret_is_in_a_repr(stack: Stack) -> None:
    shown = repr(stack)

    for secret in (stack.secret_access_key, stack.source.password, stack.source_admin.password):
        assert secret not in shown


def test_environment_points_other_tools_at_the_stack(stack: Stack) -> None:
    values = environment(stack)

    assert values["AWS_ENDPOINT_URL"] == stack.aws_endpoint_url
    assert values["SOURCE_DATABASE_URL"] == stack.source.url
    assert values["PGUSER"] == stack.source_admin.user
    assert values["WAREHOUSE_DATABASE_URL"].startswith("postgresql://warehouse_loader:")


def test_the_source_user_reads_and_does_nothing_else(stack: Stack) -> None:
    connection = stack.source.connect()

    assert connection.run("SELECT count(*) FROM _prisma_migrations") == [[1]]
    for statement in ("DELETE FROM staff", "CREATE TABLE mine (a int)", "CREATE TEMP TABLE mine (a int)"):
        with pytest.raises(Exception, match="permission denied"):
            connection.run(statement)
    connection.close()
    elsewhere = Database(**{**stack.source.as_dict(), "database": "warehouse"})
    with pytest.raises(LocalError, match="permission denied for database"):
        elsewhere.connect()


def test_a_description_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text('{"region": "eu-west-2"}', encoding="utf-8")

    with pytest.raises(LocalError, match="local down"):
        read_stack(path)


def test_the_source_schema_must_be_there(root: Path) -> None:
    with pytest.raises(LocalError, match=r"nowhere\.sql"):
        embedded.up(root, source_schema=root / "nowhere.sql")

    assert processes_of(root) == []


def test_refused_start_leaves_the_speed_of_schedules(stack: Stack) -> None:
    """It is up, and not with that source: nothing of it changes."""
    speed = emulator.clock_speed_file(stack.directory / EMULATOR)
    before = speed.read_text(encoding="utf-8")
    with pytest.raises(LocalError):
        embedded.up(stack.directory.parent, external=ExternalSource("postgresql://me@h/shop", "shop at h"))
    assert speed.read_text(encoding="utf-8") == before
