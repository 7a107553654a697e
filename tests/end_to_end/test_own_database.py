"""From the URL of a database that nothing here made to a compared warehouse, without editing a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.client.target import choose
from lambda_toolkit.pipeline.commands.local import own_database
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.running import load_stack
from tests.support.databases import database_of, execute, made, run
from tests.support.tripwire import tripwire

RENTAL = (Path(__file__).parent / "schemas" / "rental.sql").read_text(encoding="utf-8")
PASSWORD = "s3cret-p@ss/word"  # some of its characters are encoded in a URL
ENCODED = "s3cret-p%40ss%2Fword"


@pytest.fixture(scope="module")
def rental(postgres_server):
    """The rental shop, for its owner."""
    with made(postgres_server, "rental shop", RENTAL) as database:
        yield database


@pytest.fixture(scope="module")
def url(postgres_server, rental):
    """The URL of a role that has SELECT and nothing else."""
    admin = database_of(postgres_server, "postgres")
    run(admin, f"CREATE ROLE renting LOGIN PASSWORD '{PASSWORD}'")
    run(rental, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO renting")
    yield f"postgresql://renting:{ENCODED}@127.0.0.1:{rental.port}/rental%20shop"
    execute(rental, "DROP OWNED BY renting; DROP ROLE renting")


@pytest.fixture
def shell():
    """Runs commands in a shell that has the URLs of production; returns what they did, which never has the password."""
    with tripwire() as wire:

        def command(*arguments: str, code: int = 0, **variables: str) -> Result:
            result = CliRunner().invoke(deploy.main, list(arguments), env={**wire.shell, **variables})
            assert result.exit_code == code, result.output
            assert PASSWORD not in result.output and ENCODED not in result.output
            return result

        yield command
        assert wire.connections == [], "nothing connected to production"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder in which commands run, whose stack does not outlive the test."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    embedded.down(tmp_path, wipe=True)


def files_with_the_password(folder: Path) -> dict[str, str]:
    """The files below ``folder`` that hold it, with their modes."""
    found = {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if PASSWORD.encode() in content or ENCODED.encode() in content:
            found[path.relative_to(folder).as_posix()] = f"{path.stat().st_mode & 0o777:o}"
    return found


def test_a_url_becomes_a_warehouse_that_agrees(rental: Database, url: str, project: Path, shell) -> None:
    """init --from, local run --source-url; then what changes in the source, and what a wrong warehouse looks like."""
    shell("init", "--from", "RENTAL", RENTAL=url)
    document = json.loads(shell("local", "run", "--source-url", "RENTAL", "--keep", "--json", RENTAL=url).stdout)
    tables = {table["table"]: table for table in document["tables"]}
    assert document["agrees"] and document["batches"] == 1
    assert tables["fact_rental"]["source_rows"] == tables["fact_rental"]["warehouse_rows"] == 16_044
    assert tables["dim_date"]["warehouse_rows"] > 80 and document["not_compared"] == []
    assert (project / ".local" / ".gitignore").read_text(encoding="utf-8") == "*\n"

    embedded.set_clock_speed(load_stack(project), own_database.CLOCK_SPEED)  # no schedule fires meanwhile
    processes = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert any(str(project) in words for words in processes), "the stack is among them"
    assert not [words for words in processes if PASSWORD in words or ENCODED in words]
    assert files_with_the_password(project) == {".local/stack.json": "600"}

    execute(
        rental,
        "UPDATE country SET country = 'Éire' WHERE country_id = 1; DELETE FROM payment; DELETE FROM rental WHERE"
        " rental_id % 100 = 0; UPDATE rental SET return_date = NULL WHERE rental_id = 1",
    )
    shell("run")
    stack, target = load_stack(project), choose(Path("config/pipeline.toml"), None, {})
    assert own_database.compare_once(target, Screen()).agrees
    execute(stack.warehouse, "UPDATE dim_city SET country = 'Eire' WHERE city_id = 20")
    execute(stack.warehouse, "UPDATE fact_rental SET rental_id = -1 WHERE rental_id = 8")
    execute(stack.warehouse, "DELETE FROM fact_rental WHERE rental_id = 7")
    compared = own_database.compare_once(target, Screen())
    wrong = {table.table: table.examples for table in compared.tables if table.differences}
    assert wrong == {
        "dim_city": ("city_id 20 country is 'Eire' and should be 'Éire'",),
        "fact_rental": ("rental_id -1 should not be there", "rental_id 7 is missing", "rental_id 8 is missing"),
    }

    exported = shell("local", "env").stdout
    assert "SOURCE_DATABASE_URL" not in exported and "PGHOST" not in exported
    for refused in (["local", "up", "--orders", "3"], ["local", "up", "--empty"]):
        assert "nothing is written there" in shell(*refused, code=1).stderr
    (project / "config" / "totesys.sql").touch()  # as in a project that could be simulated
    assert "nothing is written there" in shell("local", "simulate", code=1).stderr

    assert "The URL of the source is forgotten" in shell("local", "down").stderr
    assert files_with_the_password(project) == {}, "down forgets it"
    shown = shell("local", "up", code=1).stderr
    assert f"are of rental shop at 127.0.0.1:{rental.port}, whose URL `local down` has forgotten" in shown
    assert "--source-url URL" in shell("local", "run", code=1).stderr
    other = f"{url.rpartition('/')[0]}/postgres"
    assert "and not of postgres at" in shell("local", "up", "--source-url", other, code=1).stderr
    shell("local", "up", "--source-url", "RENTAL", RENTAL=url)
    assert "Nothing changed." in shell("run").stdout
    assert "Nothing changed." in shell("local", "up").stdout, "a stack that is up goes on with its source"


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ("NOT_SET", 2, "the name of an environment variable that has one, and NOT_SET is not set"),
        ("postgresql://me:{password}@127.0.0.1:1/shop", 1, "cannot be reached"),
        ("postgresql://me:{password}@127.0.0.1:1/shop?sslmode=maybe", 1, "maybe"),
        ("postgresql://me:{password}@127.0.0.1/shop?sslrootcert=none.pem", 1, "none.pem"),
        ("mysql://me:{password}@127.0.0.1/shop", 1, "does not start with postgresql://"),
        ("{url}", 1, "nothing was started. "),
    ],
)
def test_a_source_that_cannot_be_read_starts_nothing(given, code, says, url, project, shell) -> None:
    shell("init")
    wrong = url.replace(ENCODED, "wrong")
    result = shell("local", "up", "--source-url", given.format(password=ENCODED, url=wrong), code=code)
    assert says in result.stderr
    assert not (project / ".local").exists()


def test_a_project_without_a_source_says_how_to_name_one(url, project, shell) -> None:
    shell("init", "--from", url)
    shown = shell("local", "up", code=2).stderr
    assert "There is no source: " in shown and "local up --source-url URL" in shown
    assert "local run --source-url URL" in shell("local", "run", code=2).stderr
    refused = shell("local", "up", "--source-url", url, "--empty", code=2)
    assert "are for a source that the stack starts" in refused.stderr
    assert not (project / ".local").exists()


def test_the_variables_of_production_are_never_followed(filled, sql) -> None:
    """A stack with a source that it started: nothing reads or writes another, whatever the shell has."""
    with tripwire() as wire:
        before = dict(os.environ)
        assert filled("local", "up", env=wire.shell).exit_code == 0
        assert filled("local", "simulate", "--rate", "1200", "--minutes", "0.01", env=wire.shell).exit_code == 0
        for command in ("run", "deploy", "plan", "prepare", "status"):
            result = filled(command, "--stage", "local", env=wire.shell)
            assert result.exit_code == 0 or command == "status", result.output  # which may know of a trouble
        assert wire.connections == []
        assert dict(os.environ) == before


def test_another_server_at_the_address_of_the_source_is_refused(filled, monkeypatch) -> None:
    """Where the server that the stack started is not the one that its file names, nothing is written."""
    stack = filled.stack
    monkeypatch.setattr(embedded.postgres_server, "find", lambda directory: None)
    for command in (["local", "simulate"], ["local", "up"]):
        result = filled(*command)
        assert result.exit_code == 1
        address = f"127.0.0.1:{stack.source_admin.port}"
        assert f"The server at {address} is not the one that this stack started" in result.stderr
