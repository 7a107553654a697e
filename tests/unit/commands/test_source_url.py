"""``--source-url``: what it takes, and that it means the same from every folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from pg8000.exceptions import DatabaseError, InterfaceError

import deploy
from lambda_toolkit.pipeline.commands.init import _shown
from lambda_toolkit.pipeline.commands.local import source_url
from lambda_toolkit.pipeline.commands.local.source_url import anywhere
from lambda_toolkit.pipeline.config.database_url import credentials, given_url
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import GIVEN_URL, hide_urls
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import external_source
from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource

ROOT = Path(__file__).parents[3]
SHOP, CRM = (ExternalSource(f"postgresql://me:s3cret@h/{name}", f"{name} at h:5432") for name in ("shop", "crm"))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?sslmode=require",
        "?sslmode=verify-full&sslrootcert=system",
        "?sslrootcert=authority.pem&sslmode=verify-ca",
        "?ssl%72ootcert=my%20folder%2Fa%26b.pem",
        "?password=p%3Fq%26r&sslrootcert=authority.pem",
    ],
)
def test_a_url_means_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    (tmp_path / "my folder").mkdir()
    for name in ("authority.pem", "my folder/a&b.pem"):
        (tmp_path / name).write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    url = f"postgresql://me:s%3Fcret@db.example.com/shop{query}"
    expected, moved = credentials(url, "there"), anywhere(url)
    monkeypatch.chdir("/")
    assert credentials(moved, "elsewhere") == expected


def test_a_variable_is_named_and_never_guessed() -> None:
    environ = {"SOURCE_DATABASE_URL": "postgresql://production", "SHOP": "postgresql://me:s3cret@h/shop"}
    assert given_url("--source-url", "SHOP", environ) == (environ["SHOP"], "the environment variable SHOP")
    assert given_url("--source-url", "postgresql://h/d", environ) == ("postgresql://h/d", "--source-url")
    for missing in ("NONE", ""):
        if missing:
            with pytest.raises(UsageError, match="NONE is not set"):
                given_url("--source-url", missing, environ)
        else:
            assert given_url("--source-url", missing, environ) == ("", "--source-url"), "refused as a URL"
    hidden = {f"{GIVEN_URL}1": "postgresql://me:s3cret@h/shop"}
    assert given_url("--source-url", f"{GIVEN_URL}1", hidden) == ("postgresql://me:s3cret@h/shop", "--source-url")
    assert hidden == {}, "no process that is started has it"
    with pytest.raises(UsageError, match=f"{GIVEN_URL}1 is not set"):
        given_url("--source-url", f"{GIVEN_URL}1", hidden)


@pytest.mark.parametrize(("before", "now"), [(None, SHOP), (SHOP, None), (SHOP, CRM)])
def test_data_of_one_database_is_not_continued_with_another(tmp_path: Path, before, now) -> None:
    external_source.remember(tmp_path, before)
    external_source.check_same(tmp_path, before)
    with pytest.raises(LocalError, match="local down --wipe") as refused:
        external_source.check_same(tmp_path, now)
    assert "s3cret" not in str(refused.value)
    assert not [path for path in tmp_path.iterdir() if "s3cret" in path.read_text(encoding="utf-8")]


def test_another_password_is_the_same_database(tmp_path: Path) -> None:
    external_source.remember(tmp_path, SHOP)
    external_source.check_same(tmp_path, ExternalSource("postgresql://you:other@h/shop", SHOP.place))


@pytest.mark.parametrize("typed", [["lambda-script"], ["python", str(ROOT / "deploy.py")]])
@pytest.mark.parametrize("options", [["--source-url", "{url}"], ["--source-url={url}"]])
def test_a_password_does_not_stay_in_the_list_of_processes(tmp_path: Path, typed, options) -> None:
    """The command itself has it among its arguments for a moment; then it waits for a server, and the list has none."""
    written = CliRunner().invoke(deploy.main, ["init", str(tmp_path)])
    assert written.exit_code == 0, written.output
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://me:s3cret%40@127.0.0.1:{server.getsockname()[1]}/shop"
        command = [str(Path(sys.executable).with_name(typed[0])), *typed[1:], "local", "up"]
        process = subprocess.Popen(
            [*command, *(option.format(url=url) for option in options)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        connection, _ = server.accept()
        words = Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8")
        assert "--source-url" in words and "s3cret" not in words
        connection.close()
        server.close()  # else the next try to connect waits for an answer until its time is up
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The source of --source-url cannot be read" in shown, "the person's own words"
    assert "s3cret" not in shown and "GIVEN_URL" not in shown


PLAIN, SECURE = (
    "postgresql://me:s3cret@{}/shop",
    "postgresql://me:s3cret@{}/shop?sslmode=verify-full&sslrootcert=system",
)
PEM = "-----BEGIN CERTIFICATE-----"


@pytest.mark.parametrize(
    ("url", "host", "ca", "root", "place"),
    [
        (PLAIN, "db.example.com", PEM, PEM, "shop at db.example.com:5432"),
        (PLAIN, "db.example.com", None, None, "shop at db.example.com:5432"),
        (SECURE, "db.example.com:5433", PEM, "system", "shop at db.example.com:5433"),
        (PLAIN, "[2001:db8::1]", PEM, PEM, "shop at [2001:db8::1]:5432"),
        (PLAIN, "127.0.0.1", PEM, None, "shop at 127.0.0.1:5432"),
        (PLAIN, "%2Fvar%2Frun", PEM, None, "shop at /var/run:5432"),
    ],
)
def test_source_is_connected_to_before_a_start(monkeypatch, url, host, ca, root, place) -> None:
    """With the authorities that its secret names, unless the URL names some, or the server is on this machine."""
    opened: list[Any] = []

    @contextmanager
    def connected(to: Any, *, connect_timeout: float) -> Iterator[Any]:
        opened.append((to, connect_timeout))
        yield SimpleNamespace(run=opened.append)

    monkeypatch.setattr(postgres, "connected", connected)
    monkeypatch.setattr(postgres.Credentials, "from_json", lambda text, where: (json.loads(text), where))
    monkeypatch.setattr(source_url, "ca_pem", lambda secret: secret.ca)
    secret: Any = SimpleNamespace(ca=ca)
    found = source_url.external_source(url.format(host), secret)
    assert found == ExternalSource(url.format(host), place)
    [((values, where), seconds), statement] = opened
    assert (values.get("sslrootcert"), where, seconds, statement) == (root, "--source-url", 10, "SELECT 1")
    opened.clear()
    assert source_url.external_source(url.format(host), None) == found


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DatabaseError({"M": "no such role", "C": "28000"}), "no such role"),
        (InterfaceError("closed"), "closed"),
        (ConnectionFailedError("No way."), "No way."),
        (OSError("no route"), "no route"),
    ],
)
def test_source_that_cannot_be_read_starts_nothing(monkeypatch, error: Exception, reason: str) -> None:
    def refused(*_: Any, **named: Any) -> Any:
        raise error

    monkeypatch.setattr(postgres, "connected", refused)
    monkeypatch.setenv("SHOP", PLAIN.format("127.0.0.1"))
    says = "The source of the environment variable SHOP cannot be read, and nothing was started."
    with pytest.raises(CommandError) as failed:
        source_url.external_source("SHOP", None)
    assert str(failed.value) == f"{says} {reason}"


def test_what_init_suggests_has_no_password() -> None:
    assert [_shown(given) for given in ("postgresql://me:s3cret@h/d", f"{GIVEN_URL}_2", "RENTAL")] == [
        "postgresql://...",
        "postgresql://...",
        "RENTAL",
    ]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["init", "--from", "postgresql://me:s3cret@h/d", "."], ["init", "--from", "{url}_2", "."]),
        (
            ["local", "up", "--source-url=postgres://h/d?user=me&password=s3cret"],
            ["local", "up", "--source-url={url}_2"],
        ),
        (
            ["local", "up", "--source-url", " postgresql://me:s3 cret@[::1]:5/d"],
            ["local", "up", "--source-url", "{url}_3"],
        ),
        (["local", "up", "--source-url", "postgresql://me@h:5432/d"], None),
        (["local", "up", "--source-url", "RENTAL"], None),
        (["query", "postgresql://me:s3cret@h/d"], None),
        (["init", "--from"], None),
    ],
)
def test_urls_with_a_password_become_variables(monkeypatch: pytest.MonkeyPatch, typed, kept) -> None:
    started = []
    monkeypatch.setattr(sys, "argv", ["lambda-script", *typed])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "lambda-script", *typed])
    monkeypatch.setattr(os, "execve", lambda path, words, environ: started.append((path, words, environ)))
    hide_urls()
    if kept is None:
        assert started == []
        return
    [(path, words, environ)] = started
    assert path == sys.executable
    assert words == ["python", "-X", "dev", "lambda-script", *(word.format(url=GIVEN_URL) for word in kept)]
    [variable] = environ.keys() - os.environ.keys()
    assert "cret" in environ[variable]
    assert environ[variable] == given_url("--from", variable, dict(environ))[0]
