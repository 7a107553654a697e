"""``--source-url``: what it takes, and that it means the same from every folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambda_toolkit.pipeline.commands.local.source_url import anywhere
from lambda_toolkit.pipeline.config.database_url import credentials, given_url
from lambda_toolkit.pipeline.errors import UsageError
from lambda_toolkit.pipeline.local_stack import external_source
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.external_source import ExternalSource

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
