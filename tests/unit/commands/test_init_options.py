"""What ``init`` makes of its options and says, with the catalog and the files replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.commands import init
from lambda_toolkit.pipeline.config.project import Tables, example_tables
from lambda_toolkit.pipeline.proposal import propose

URL = "postgresql://me:hush@h/d"
PROPOSED = SimpleNamespace(notes=("one", "two"), pipeline_toml="a$b", warehouse_sql="c$", mirror_json=None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the catalog was asked, and the folder and tables that were written."""
    found: list[Any] = []
    monkeypatch.setattr(propose, "propose", lambda *given, **named: found.append((given, named)) or PROPOSED)
    done = SimpleNamespace(written=(Path("p/a"), Path("p/b")), kept=(Path("p/c"),))
    monkeypatch.setattr(init, "write_project", lambda *given: found.append(given) or done)
    monkeypatch.setattr(init, "program", lambda: "pipeline")
    monkeypatch.setenv("SHOP_URL", URL)
    return found


@pytest.fixture
def call(asked: list[Any]) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(deploy.main, ["init", *arguments])


WROTE = ["Wrote p/a.", "Wrote p/b.", "Kept p/c, which was there already."]


def test_init_writes_the_example_and_says_how_to_try_it(call: Callable[..., Result], asked: list[Any]) -> None:
    done = call()
    assert (done.exit_code, asked) == (0, [(Path(), example_tables())])
    last = ["Name your tables in config/. To try it on this machine:", "    pipeline local up"]
    assert done.stdout.splitlines() == [*WROTE, *last]
    assert call("my shop").stdout.splitlines()[-1] == "    pipeline local up --config 'my shop/config/pipeline.toml'"
    assert json.loads(call("--json").stdout) == {"written": ["p/a", "p/b"], "kept": ["p/c"], "notes": []}


@pytest.mark.parametrize(
    ("options", "mirror", "schemas"),
    [
        ([], False, ("public",)),
        (["--mirror"], True, ("public",)),
        (["--schema", "a", "--schema", "b"], False, ("a", "b")),
    ],
)
def test_init_proposes_the_tables_of_a_database(
    call: Callable[..., Result], asked: list[Any], options: list[str], mirror: bool, schemas: tuple[str, ...]
) -> None:
    done = call("shop", "--from", "SHOP_URL", *options)
    assert asked == [
        ((URL, "the environment variable SHOP_URL"), {"mirror": mirror, "schemas": schemas}),
        (Path("shop"), Tables("a$$b", "c$$", mirror_json=None)),
    ]
    assert done.stdout.splitlines() == [
        *WROTE,
        *("Note: one", "Note: two", "Look through the tables in config/. To try it on this machine:"),
        "    pipeline local up --source-url SHOP_URL --config shop/config/pipeline.toml",
    ]
    assert json.loads(call("--json", "--from", "SHOP_URL").stdout)["notes"] == ["one", "two"]


def test_password_of_the_url_is_not_shown(call: Callable[..., Result]) -> None:
    done = call("--from", URL)
    assert done.stdout.splitlines()[-1] == "    pipeline local up --source-url postgresql://..."
    assert "hush" not in done.output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mirror"], "--mirror needs --from"),
        (["--schema", "a"], "--schema is for the star of --from"),
        (["--schema", "a", "--from", URL, "--mirror"], "--schema is for the star of --from"),
    ],
)
def test_options_of_init_that_need_another_are_refused(
    call: Callable[..., Result], asked: list[Any], options: list[str], says: str
) -> None:
    done = call(*options)
    assert (done.exit_code, asked) == (2, [])
    assert says in done.stderr
