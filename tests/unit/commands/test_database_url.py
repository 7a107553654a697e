"""Database URLs: libpq's parameters are used or refused, and authorities reach the functions."""

import json
from pathlib import Path

import pytest
import trustme

from lambda_toolkit.pipeline.config.database_url import (
    ca_pem,
    connection_json,
    credentials,
    secret_value,
    webhook_url,
    with_authorities,
)
from lambda_toolkit.pipeline.config.model import ReadSecret, SecretDeclaration
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials

URL = "postgresql://reader:s%3Fcret@db.example.com/shop"
RDS = URL.replace("db.example.com", "db.c0ffee.{}.rds.amazonaws.com")
SECRET = SecretDeclaration("source", "shop/source", "SOURCE_DATABASE_URL", ca=None)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


def value_of(url: str, ca: Path | None = None) -> dict[str, object]:
    text = secret_value(SecretDeclaration("source", "shop/source", "X", ca=ca), {"X": url}).text
    return dict(json.loads(text or "{}"))


def test_parameters_of_the_url_are_stored(pem: Path) -> None:
    given = value_of(f"{URL}?sslmode=verify-full&sslrootcert={pem}")

    assert given["sslmode"] == "verify-full"
    assert given["sslrootcert"] == pem.read_text()
    assert value_of(f"{URL}?sslrootcert=system")["sslrootcert"] == "system"
    assert value_of(f"{URL}?sslmode=disable")["sslmode"] == "disable"
    assert {"sslmode", "sslrootcert"} & set(value_of(URL)) == set()  # the host decides when connecting


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("connect_timeout=3", "parameter `connect_timeout`"),
        ("ssl_mode=require", "Did you mean `sslmode`"),
        ("SSLMODE=require", "parameter `SSLMODE`"),
        ("sslmode=on", "sslmode=on is not one of disable, allow"),
        ("sslmode=VERIFY-FULL", "sslmode=VERIFY-FULL is not one of"),
        ("sslmode=", "one value of sslmode"),
        ("sslmode=require&sslmode=disable", "one value of sslmode"),
        ("sslmode=verify-ca", "add sslrootcert="),
        ("sslmode=require&sslrootcert=system", "use sslmode=verify-full, not require"),
        ("sslrootcert=nowhere.pem", "sslrootcert=nowhere.pem: .*No such file"),
        ("s%3Fcret=1", "a parameter that is not used"),
    ],
)
def test_parameter_that_is_not_used_is_refused_by_name(query: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        value_of(f"{URL}?{query}")

    assert "X" in str(refused.value)
    assert "s?cret" not in str(refused.value)


def test_authorities_of_the_declaration_are_named_in_the_secret(pem: Path) -> None:
    """The bundle of Amazon RDS is larger than a secret may be: the package has it, the secret has its name."""
    secret = SecretDeclaration("source", "shop/source", "X", ca=pem)
    text = secret_value(secret, {"X": URL}).text or ""

    assert json.loads(text)["sslrootcert"] == "source-ca.pem"
    assert Credentials.from_json(with_authorities(secret, text), "X").sslrootcert == pem.read_text()
    with pytest.raises(ConfigurationError, match="mean the same"):
        value_of(f"{URL}?sslrootcert={pem}", ca=pem)


def test_authorities_take_the_place_of_their_name_alone(pem: Path) -> None:
    secret = SecretDeclaration("source", "shop/source", "X", ca=pem)
    named = '{"host": "h", "sslrootcert": "source-ca.pem"}'
    assert json.loads(with_authorities(secret, named)) == {"host": "h", "sslrootcert": pem.read_text()}
    assert with_authorities(SECRET, named) == named
    for other in ("", '{"sslrootcert": "system"}', "{}", '["sslrootcert"]'):
        assert with_authorities(secret, other) == other


def test_authorities_are_read_from_the_package(pem: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = secret_value(SecretDeclaration("source", "shop/source", "X", ca=pem), {"X": URL}).text or ""
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))

    with pytest.raises(Exception, match=r"source-ca\.pem, which cannot be read .* Deploy again"):
        Credentials.from_json(text, "secret shop/source")
    (tmp_path / "source-ca.pem").write_text(pem.read_text())
    assert Credentials.from_json(text, "secret shop/source").sslrootcert == pem.read_text()


def test_large_file_of_authorities_is_for_the_declaration(tmp_path: Path) -> None:
    large = tmp_path / "large.pem"
    large.write_text("-" * 40_000)

    with pytest.raises(ConfigurationError, match="Name the file as `ca`"):
        value_of(f"{URL}?sslrootcert={large}")


@pytest.mark.parametrize("content", [None, "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_unusable_authorities_are_refused_before_the_deploy(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)

    with pytest.raises(ConfigurationError, match=r"No such file|not a certificate in PEM"):
        value_of(URL, ca=file)


@pytest.mark.parametrize(
    ("url", "note"),
    [
        (f"{URL}?sslmode=disable", "sslmode=disable: the password and all rows may cross the network"),
        (f"{URL}?sslmode=prefer", "sslmode=prefer: the password and all rows may cross the network"),
        (RDS.format("xx-new-1"), "the authorities of Amazon RDS in that region are not known"),
        (f"{RDS.format('xx-new-1')}?sslmode=require", None),
        (f"{RDS.format('xx-new-1')}?sslrootcert=system", None),
        (RDS.format("eu-west-2"), None),
        (URL, None),
        ("postgresql://a:b@localhost/c?sslmode=disable", None),
        ("postgresql://a:b@127.0.0.1/c?sslmode=disable", None),
        ("postgresql://a:b@%2Fvar%2Frun/c?sslmode=disable", None),
    ],
)
def test_plan_has_a_note_on_what_is_not_protected(url: str, note: str | None) -> None:
    notes = secret_value(SECRET, {"SOURCE_DATABASE_URL": url}).notes

    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]
    assert "s?cret" not in "".join(notes)


def test_directory_is_a_unix_socket() -> None:
    assert credentials("postgresql://a:b@%2FVar%2Frun:5433/c", "X")["host"] == "/Var/run"
    assert credentials("postgresql://a:b@%2FVar%2Frun:5433/c", "X")["port"] == 5433


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("postgresql://u:p#?[]%3A+:x@h/d", ("h", 5432, "d", "u", "p#?[]:+:x")),
        ("postgres://a%20b:%F0%9F%94%91%FF@[::1]:5/d%2Fe?sslmode=require", ("::1", 5, "d/e", "a b", "🔑\udcff")),
        ("postgresql:///d?host=h&port=7&user=u&password=p%26q+r", ("h", 7, "d", "u", "p&q+r")),
        ("postgresql://u:é😀@h/d#x\n", ("h", 5432, "d#x", "u", "é😀")),
        ("postgresql://u:p@h:/d://x", ("h", 5432, "d://x", "u", "p")),
        ("postgresql://u:p@h/?dbname=d%2Fe", ("h", 5432, "d/e", "u", "p")),
        ("postgresql://u:a@h/d?password=p=?%FF", ("h", 5432, "d", "u", "p=?\udcff")),
    ],
)
def test_url_is_read_as_libpq_reads_it(url: str, read: tuple[object, ...]) -> None:
    value = credentials(url, "X")
    assert (value["host"], value["port"], value["dbname"], value["username"], value["password"]) == read
    stored = Credentials.from_json(json.dumps(value), "the secret")
    assert (stored.host, stored.port, stored.database, stored.user, stored.password) == read


@pytest.mark.parametrize("port", ["port", "0", "70000", "-1", "²"])
def test_port_out_of_range_and_nul_are_refused(port: str) -> None:
    with pytest.raises(ConfigurationError, match="the port is not a number from 1 to 65535"):
        credentials(f"postgresql://u:hush@h:{port}/d", "X")
    with pytest.raises(ConfigurationError, match="the password contains the character NUL"):
        credentials("postgresql://u:hush%00@h/d", "X")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://u:hush@h/d", "it does not start with postgresql://"),
        ("postgresql:u:hush@h/d", "it does not start with postgresql://"),
        ("postgresql://:hush@h/d", "the user is missing"),
        ("postgresql://u@h/d", "the password is missing"),
        ("postgresql://u:hush@/d", "the host is missing"),
        ("postgresql://u:hush@h/", "the database is missing"),
        ("postgresql://u:hush@h/d%00", "the database contains the character NUL (%00)"),
        ("postgresql://u:hush@[::1]:1:2/d", "the port is not a number from 1 to 65535"),
        ("postgresql://u:hush@h:1:2/d", "the port is not a number from 1 to 65535"),
        ("postgresql://u:hush@h:65536/d", "the port is not a number from 1 to 65535"),
    ],
)
def test_refusal_of_a_url_names_the_part_without_its_value(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        credentials(url, "--source")
    assert str(refused.value) == f"--source must be postgresql://user:password@host:port/database: {problem}."


@pytest.mark.parametrize("port", [1, 65535])
def test_first_and_last_port_are_taken(port: int) -> None:
    assert credentials(f" postgresql://u:p@h:{port}/d", "X")["port"] == port


def test_file_of_authorities_that_cannot_be_used_is_named(pem: Path, tmp_path: Path) -> None:
    def declared(file: Path) -> SecretDeclaration:
        return SecretDeclaration("source", "shop/source", "X", ca=file)

    assert ca_pem(declared(pem)) == pem.read_text()
    empty, missing = tmp_path / "empty.pem", tmp_path / "missing.pem"
    empty.write_text("")
    (tmp_path / "latin.pem").write_bytes(b"\xe9")
    with pytest.raises(ConfigurationError, match=r"\[secrets.source\] `ca` names .*latin.pem: 'utf-8' codec"):
        ca_pem(declared(tmp_path / "latin.pem"))
    for file in (empty, missing):
        with pytest.raises(ConfigurationError) as refused:
            ca_pem(declared(file))
        assert str(refused.value).startswith(f"[secrets.source] `ca` names {file}: ")
        assert str(refused.value).endswith("." if file == empty else f"'{missing}'.")


def test_authorities_in_the_url_have_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "many.pem"
    file.write_text("x" * (32 * 1024 + 1))
    with pytest.raises(ConfigurationError) as refused:
        credentials(f"{URL}?sslrootcert={file}", "--source")
    assert str(refused.value) == (
        f"--source has sslrootcert={file}, which is too large for a secret (32,769 of 32,768 bytes). "
        "Name the file as `ca` in [secrets.*] of pipeline.toml instead: it travels in the package."
    )
    file.write_text("x" * 32 * 1024)
    assert credentials(f"{URL}?sslrootcert={file}", "--source")["sslrootcert"] == "x" * 32 * 1024


def test_url_of_a_webhook_is_taken_or_refused_by_its_place() -> None:
    url = "https://hooks.slack.com/services/T0/B0/x"
    assert webhook_url(f" {url}\n", "--webhook") == url
    shape = "--webhook must be the URL of an incoming webhook, https://hooks.slack.com/services/...: "
    for wrong in ("http://hooks.slack.com/services/hush", "hush"):
        with pytest.raises(ConfigurationError) as refused:
            webhook_url(wrong, "--webhook")
        assert str(refused.value).startswith(shape)
        assert "hush" not in str(refused.value)


def test_connection_of_a_read_secret_is_as_declared(tmp_path: Path) -> None:
    def declared(read: ReadSecret | None, ca: Path | None = None) -> SecretDeclaration:
        return SecretDeclaration("source", "", "", ca=ca, read=read)

    read = ReadSecret("arn:a", host="h", port=5, database="d", sslmode="require")
    found = {"host": "h", "port": 5, "dbname": "d", "sslmode": "require"}
    assert json.loads(connection_json(declared(read))) == found
    file = tmp_path / "a.pem"
    assert json.loads(connection_json(declared(read, file))) == {**found, "sslrootcert": "source-ca.pem"}
    assert connection_json(declared(ReadSecret("arn:a"))) == ""
    assert connection_json(declared(None)) == ""
