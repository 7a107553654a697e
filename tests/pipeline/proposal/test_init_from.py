"""``init --from``: a project that deploys as it is, for a database of which nothing but the catalog is read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from tests.pipeline.proposal.conftest import PASSWORD
from tests.pipeline.proposal.test_star import SHOP, url

ODD = """
    CREATE TABLE "$name" (id int PRIMARY KEY, "$$" text, "${version}" text);
    COMMENT ON TABLE "$name" IS 'costs $$ and $name';
    CREATE TABLE nothing (a int);
"""


def init(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(deploy.main, ["init", str(directory), *arguments])


def test_init_from_a_database_writes_what_deploys(database, selecting, tmp_path, monkeypatch):
    """With SELECT alone, and the URL in a variable, which is in none of the files."""
    credentials = database(SHOP + ODD)
    with connect(credentials) as owner:
        owner.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {selecting}")
    to = dataclasses.replace(credentials, user=selecting, password=PASSWORD.replace(" ", "%20"))
    monkeypatch.setenv("CRM_URL", url(to))
    result = init(tmp_path / "crm", "--from", "CRM_URL", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [note[:24] for note in document["notes"]] == ["nothing is not read. It "]

    pipeline = load(tmp_path / "crm" / "config" / "pipeline.toml")
    assert deployment(pipeline, "123456789012", {}).functions
    declared = parse(pipeline.tables)
    assert list(declared.warehouse["dim_name"].columns) == ["id", "unnamed", "version"]
    assert [str(column) for column in declared.warehouse["dim_name"].columns.values()] == ["id", '"$$"', '"${version}"']
    files = [path for path in (tmp_path / "crm").rglob("*") if path.is_file()]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    assert "source.sql" not in texts
    assert "# costs $$ and $name\n" in texts["pipeline.toml"]
    assert not [name for name, text in texts.items() if "select alone" in text or "select%20alone" in text]


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("NO_SUCH_VARIABLE", 2, "NO_SUCH_VARIABLE is not set"),
        ("postgres//me:s3cret@host/db", 1, "does not start with postgresql://"),
        ("postgresql://me:s3cret@127.0.0.1:1/db", 1, "cannot be read"),
    ],
)
def test_init_from_what_is_no_database_writes_nothing(tmp_path, source, code, says):
    result = init(tmp_path / "crm", "--from", source)
    assert result.exit_code == code
    assert says in result.stderr
    assert "s3cret" not in result.output
    assert not (tmp_path / "crm").exists()
