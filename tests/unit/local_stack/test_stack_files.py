"""What a stack writes down of itself is what other commands, and other versions of this one, read."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pg8000.native
import pytest

from lambda_toolkit.pipeline.local_stack import credentials, running
from lambda_toolkit.pipeline.local_stack.description import Stack, environment, read_stack, write_stack
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import external_source
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource
from lambda_toolkit.pipeline.local_stack.process import Identity, free_port

SHOP = ExternalSource("postgresql://me:s3cret@h/shop", "shop at h:5432")
PROCESSES = {name: Identity(number, number + 0.5) for number, name in enumerate(running.PARTS, 1)}
NAMES = {"source": "totesys_reader", "source_admin": "totesys_admin", "warehouse": "warehouse_loader"}


def database(of: str) -> Database:
    return Database("127.0.0.1", 5433, of.partition("_")[0], NAMES[of], f"{of} word")


@pytest.fixture
def described(tmp_path: Path) -> Stack:
    (tmp_path / ".local").mkdir()
    return Stack(
        tmp_path, "http://127.0.0.1:1", "eu-west-2", "0" * 12, "AKIA", "s3cret",
        processes=PROCESSES, slack_url="http://127.0.0.1:2/x", **{name: database(name) for name in NAMES},
    )  # fmt: skip


@pytest.mark.parametrize("external", [None, SHOP])
def test_description_says_where_everything_is(described: Stack, external: ExternalSource | None) -> None:
    described = replace(described, external=external)
    write_stack(described)
    path = described.root / ".local" / "stack.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document == {
        "aws_endpoint_url": "http://127.0.0.1:1",
        "region": "eu-west-2",
        "account_id": "000000000000",
        "access_key_id": "AKIA",
        "secret_access_key": "s3cret",
        "slack_url": "http://127.0.0.1:2/x",
        "mail-sink": f"{described.root}/.local/mail-sink",
        **{
            name: {"host": "127.0.0.1", "port": 5433, "database": name.partition("_")[0], "user": user}
            | {"password": f"{name} word"}
            for name, user in NAMES.items()
        },
        "processes": {
            "emulator": {"pid": 1, "started": 1.5},
            "postgres": {"pid": 2, "started": 2.5},
            "alarm_evaluator": {"pid": 3, "started": 3.5},
            "slack_receiver": {"pid": 4, "started": 4.5},
        },
        "external_source": external and {"url": "postgresql://me:s3cret@h/shop", "place": "shop at h:5432"},
    }
    assert read_stack(path) == described
    for name in ("slack_url", "external_source"):
        del document[name]
    path.write_text(json.dumps(document), encoding="utf-8")
    assert read_stack(path) == replace(described, slack_url="", external=None), "that of an earlier version"
    assert not {"s3cret", "http://127.0.0.1:2/x", "word"} & set(repr(described).replace("'", " ").split())
    assert described.source_url == (SHOP.url if external else database("source").url)
    assert (described.mail_sink, described.slack_sink) == (path.parent / "mail-sink", path.parent / "slack-sink")


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"region": "eu-west-2"}', '{"source": {"host": "h"}, "source_admin": {}}', "null"],
)
def test_description_that_is_none_is_refused(described: Stack, text: str) -> None:
    write_stack(described)
    path = described.directory / "stack.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    given = {**document, **json.loads(text)} if text.startswith('{"source') else text
    path.write_text(given if isinstance(given, str) else json.dumps(given), encoding="utf-8")
    with pytest.raises(LocalError, match="cannot be read as the description of a local stack"):
        read_stack(path)


def test_tools_are_pointed_at_the_stack(described: Stack) -> None:
    """The AWS CLI, boto3, psql; and at no database that the stack did not start, with a password in the variable."""
    shared = {
        "LAMBDA_SCRIPT_STACK": str(described.root),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        **dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_REGION"), "eu-west-2"),
        "WAREHOUSE_DATABASE_URL": "postgresql://warehouse_loader:warehouse%20word@127.0.0.1:5433/warehouse",
    }
    assert environment(described) == {
        **shared,
        "SOURCE_DATABASE_URL": "postgresql://totesys_reader:source%20word@127.0.0.1:5433/source",
        "PGHOST": "127.0.0.1",
        "PGPORT": "5433",
        "PGDATABASE": "source",
        "PGUSER": "totesys_admin",
        "PGPASSWORD": "source_admin word",
    }
    assert environment(replace(described, external=SHOP)) == shared


def test_parts_that_ended_are_named(described: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = set(PROCESSES.values())
    monkeypatch.setattr(running, "is_alive", lambda process: process in alive)
    with pytest.raises(LocalError, match=r"^The local stack is not up\."):
        running.load_stack(described.root)
    write_stack(described)
    assert running.load_stack(described.root) == described
    alive -= {PROCESSES["postgres"], PROCESSES["slack_receiver"]}
    assert running.running_stack(described.root) is None
    with pytest.raises(LocalError, match="incomplete: PostgreSQL and the receiver of messages for Slack ended"):
        running.load_stack(described.root)


def test_keys_are_new_once(tmp_path: Path) -> None:
    first, second = credentials.of(tmp_path), credentials.of(tmp_path)
    for access in (first, second):
        assert access.access_key_id.startswith("AKIA") and len(access.access_key_id) == 20
        assert access.access_key_id.isupper() and access.slack_path.startswith("/services/LOCAL/")
        assert (access.emulator_port, access.postgres_port, access.slack_port) == (0, 0, 0), "not chosen yet"
        assert access.slack_path not in repr(access)
    secrets = [(each.access_key_id, each.secret_access_key, each.slack_path) for each in (first, second)]
    assert all(one != other for one, other in zip(*secrets, strict=True))
    credentials.keep(tmp_path, first)
    written = json.loads((tmp_path / "access.json").read_text(encoding="utf-8"))
    del written["slack_path"]
    (tmp_path / "access.json").write_text(json.dumps(written), encoding="utf-8")
    again = credentials.of(tmp_path)
    assert replace(again, slack_path="") == replace(first, slack_path="") and len(again.slack_path) > 30


def test_secrets_of_another_source_are_deleted_alone(tmp_path: Path) -> None:
    state = tmp_path / "emulator" / "state"
    state.mkdir(parents=True)
    for name in ("secretsmanager.json", "secretsmanager.bak", "s3.json"):
        (state / name).touch()
    assert external_source.recall(tmp_path) is None
    external_source.remember(tmp_path, SHOP)
    assert json.loads((tmp_path / "source.json").read_text(encoding="utf-8")) == {"place": "shop at h:5432"}
    assert external_source.recall(tmp_path) == "shop at h:5432" and "s3cret" not in repr(SHOP)
    crm = ExternalSource("postgresql://me:s3cret@h/crm", "crm at h:5432")
    for now, says in (
        (None, "are of shop at h:5432, whose URL"),
        (crm, "are of shop at h:5432, and not of crm at h:5432"),
    ):
        with pytest.raises(LocalError, match=says):
            external_source.check_same(tmp_path, now)
    external_source.forget_url(tmp_path)
    assert [path.name for path in state.iterdir()] == ["s3.json"]
    for _ in range(2):
        external_source.remember(tmp_path, None)
        assert external_source.recall(tmp_path) is None
    with pytest.raises(LocalError, match="are of the stack's own source, and not of shop at h:5432"):
        external_source.check_same(tmp_path, SHOP)


def test_statement_may_take_longer_than_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = Database("127.0.0.1", server.getsockname()[1], "sh op", "m/e", "p@ss")
        assert there.url == f"postgresql://m%2Fe:p%40ss@127.0.0.1:{there.port}/sh%20op"
        assert "p@ss" not in repr(there)
        made: list[Any] = []

        def connect(user: str, *, sock: socket.socket, **options: Any) -> str:
            made.append((user, options, sock, sock.gettimeout()))
            return "connected"

        monkeypatch.setattr(pg8000.native, "Connection", connect)
        assert there.connect() == "connected"  # type: ignore[comparison-overlap]
        [(user, options, sock, timeout)] = made
        assert (user, options, timeout) == ("m/e", {"database": "sh op", "password": "p@ss"}, 10.0)
        assert sock.gettimeout() is None, "a statement may take as long as it takes"
        sock.close()
        refused = f"Cannot connect to database sh op at 127.0.0.1:{there.port} as m/e: "
        for error, reason in (
            (pg8000.native.DatabaseError({"M": "no such user."}), "no such user"),
            (pg8000.native.InterfaceError("network error"), "network error"),
            (TimeoutError("timed out"), "timed out"),
        ):

            def fail(user: str, *, sock: socket.socket, error: Exception = error, **options: Any) -> str:
                made.append(sock)
                raise error

            monkeypatch.setattr(pg8000.native, "Connection", fail)
            with pytest.raises(LocalError) as raised:
                there.connect()
            assert str(raised.value) == refused + reason and made[-1].fileno() == -1, "it is closed"
    with pytest.raises(LocalError, match="Connection refused$"):
        replace(there, port=free_port()).connect()

    def late(address: Any, timeout: float) -> Any:
        raise TimeoutError(f"no answer within {timeout:g} s")

    monkeypatch.setattr(socket, "create_connection", late)
    with pytest.raises(LocalError, match="no answer within 10 s$"):
        there.connect()
