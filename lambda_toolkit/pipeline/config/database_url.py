"""Database URLs as libpq has them, and the secrets that are made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from lambda_toolkit.pipeline.config.model import WEBHOOK, ReadSecret, SecretDeclaration
from lambda_toolkit.pipeline.config.schema.toml_reader import did_you_mean
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from lambda_toolkit.pipeline.installed import GIVEN_URL
from lambda_toolkit.pipeline.lambdas.notifier.webhook_url import webhook_problem
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import DUCKDB
from lambda_toolkit.pipeline.lambdas.shared.postgres.tls import (
    PLAIN_TEXT,
    SYSTEM,
    Tls,
    TlsError,
    is_loopback,
    is_unknown_region,
    tls_of,
)

DEFAULT_PORT = 5432  # PostgreSQL's
MAX_PORT = 65535  # TCP's
KNOWN = ("sslmode", "sslrootcert", "user", "password", "host", "port", "dbname")  # parameters of a URL
_PARTS = {"dbname": "database"}  # libpq's name -> what messages call it
LARGEST_INLINE = 32 * 1024  # bytes of PEM in a secret, which may have 65,536 (AWS's quota)
_NAME = re.compile("[A-Za-z_]{1,40}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class SecretValue:
    """What Secrets Manager shall hold for a declared secret, and what to say about it in a plan."""

    text: str | None = None
    """JSON. ``None``: what is stored stays."""
    notes: tuple[str, ...] = ()


def secret_value(secret: SecretDeclaration, environ: Mapping[str, str]) -> SecretValue:
    """The database URL in the secret's environment variable, as JSON in the shape that RDS uses.

    Nothing for a secret that is only read; then with notes on its connection. Raises ConfigurationError; never shows
    the value.
    """
    if secret.iam:
        return SecretValue()
    if secret.read:
        return SecretValue(notes=tuple(_notes_of_read(secret, secret.read)))
    url = environ.get(secret.environment)
    if not url:
        return SecretValue()
    where = f"the environment variable {secret.environment}"
    if secret.kind == WEBHOOK:
        return SecretValue(json.dumps({"url": webhook_url(url, where)}))
    value = credentials(url, where)
    if value["engine"] == DUCKDB:
        return SecretValue(json.dumps(value), (f"{secret.environment}: a DuckDB file",))
    if secret.ca:
        if "sslrootcert" in value:
            raise ConfigurationError(
                f"{where} has sslrootcert, and [secrets.{secret.name}] has `ca`, which mean the same: remove one."
            )
        value["sslrootcert"] = ca_file(secret)
    host, mode = str(value["host"]), value.get("sslmode")
    _check(where, host, mode, ca_pem(secret) if secret.ca else value.get("sslrootcert"))
    notes = _notes(secret, secret.environment, host, mode, "sslrootcert" in value)
    return SecretValue(json.dumps(value), tuple(notes))


def webhook_url(url: str, where: str) -> str:
    """``url``, which is that of an incoming webhook. Raises ConfigurationError that names ``where`` it came from.

    https, or http on this machine, as what it has in its path is secret: who knows it may post.
    """
    problem = webhook_problem(url.strip())
    if problem:
        raise ConfigurationError(
            f"{where} must be the URL of an incoming webhook, https://hooks.slack.com/services/...: {problem}."
        )
    return url.strip()


def connection_json(secret: SecretDeclaration) -> str:
    """What the declaration of a secret that is not stored says about the connection, as JSON; empty: nothing.

    It takes precedence over what the secret has. No value in it is secret.
    """
    read, iam = secret.read, secret.iam
    given: dict[str, str | int | None]
    if iam:
        given = {"auth": "iam", "host": iam.host, "port": iam.port, "dbname": iam.database, "username": iam.user}
    elif not read:
        return ""
    else:
        given = {"host": read.host, "port": read.port, "dbname": read.database, "sslmode": read.sslmode}
    found = {name: value for name, value in given.items() if value is not None}
    if secret.ca:
        found["sslrootcert"] = ca_file(secret)
    return json.dumps(found) if found else ""


def ca_file(secret: SecretDeclaration) -> str:
    """The name, in the package of a function, of the file of authorities that the secret's declaration names."""
    return f"{secret.name}-ca.pem"


def ca_pem(secret: SecretDeclaration) -> str:
    """The authorities that the secret's declaration names, in PEM. Raises ConfigurationError."""
    assert secret.ca is not None  # noqa: S101  # nosec B101  # the caller asked
    what = f"[secrets.{secret.name}] `ca` names {secret.ca}"
    text = _read(secret.ca, what)
    try:
        list(Tls("verify-full", text).attempts())
    except TlsError as error:
        raise ConfigurationError(f"{what}: {error}.") from error
    return text


def with_authorities(secret: SecretDeclaration, text: str) -> str:
    """The JSON of a secret or a connection, with the authorities themselves in place of the name of their file.

    In a function's package, the file has that name.
    """
    if not secret.ca or not text:
        return text
    value = json.loads(text)
    if isinstance(value, dict) and value.get("sslrootcert") == ca_file(secret):
        return json.dumps({**value, "sslrootcert": ca_pem(secret)})
    return text


def given_url(option: str, given: str, environ: MutableMapping[str, str]) -> tuple[str, str]:
    """The URL that ``option`` was given, itself or by the name of an environment variable, and where it came from.

    A name keeps the password out of the shell's history. One in place of a URL among the arguments (see
    ``installed.hide_urls``) is removed from ``environ``. Raises UsageError.
    """
    if given.startswith(GIVEN_URL) and given in environ:
        return environ.pop(given), option
    if not _VARIABLE.fullmatch(given):
        return given, option
    if not environ.get(given):
        raise UsageError(
            f"{option} takes a URL, postgresql://user:password@host/database, or the name of an environment variable "
            f"that has one, and {given} is not set."
        )
    return environ[given], f"the environment variable {given}"


def credentials(url: str, where: str) -> dict[str, str | int]:
    """A ``postgresql://user:password@host:port/database`` URL in the shape of the secrets that RDS keeps.

    Of ``duckdb:///path/of/a/file``: ``{"engine": "duckdb", "file": path}``.

    Read as libpq does (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS), with any
    character in the user and the password: a lone surrogate is a byte that is not UTF-8. user, password, host, port
    and dbname may be parameters. ``?sslmode=`` and ``&sslrootcert=`` are libpq's; a file is read. A directory as the
    host, encoded (``%2Fvar%2Frun%2Fpostgresql``), is a Unix-domain socket. Raises ConfigurationError that names
    ``where`` the URL came from and the part that is missing, never its value.
    """
    if url.strip().startswith(f"{DUCKDB}://"):
        return {"engine": DUCKDB, "file": _file(url.strip().partition("://")[2], where)}
    shape = f"{where} must be postgresql://user:password@host:port/database"
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{shape}: it does not start with postgresql://.")
    authority, _, path = rest.partition("/")
    login, _, address = authority.rpartition("@")
    user, _, password = login.partition(":")
    database, _, query = path.partition("?")
    bracketed, closed, after = address.partition("]")  # of an IPv6 address
    host, _, port = (bracketed[1:], *after.partition(":")[1:]) if closed else address.partition(":")
    given = {"user": user, "password": password, "host": host, "port": port, "dbname": database}
    values = {name: unquote(value, errors="surrogateescape") for name, value in given.items()}
    parameters = _parameters(query, where)
    values |= {name: parameters.pop(name) for name in given if name in parameters}
    for name, value in values.items():
        if not value and name != "port":
            raise ConfigurationError(f"{shape}: the {_PARTS.get(name, name)} is missing.")
        if "\0" in value:
            raise ConfigurationError(f"{shape}: the {_PARTS.get(name, name)} contains the character NUL (%00).")
    number = values["port"] or str(DEFAULT_PORT)
    if not (number.isascii() and number.isdigit() and 0 < int(number) <= MAX_PORT):
        raise ConfigurationError(f"{shape}: the port is not a number from 1 to {MAX_PORT}.")
    return {
        "engine": "postgres",
        "host": values["host"],
        "port": int(number),
        "dbname": values["dbname"],
        "username": values["user"],
        "password": values["password"],
        **parameters,
    }


def _file(path: str, where: str) -> str:
    """The path in ``duckdb:///path``, which is absolute."""
    name = unquote(path)
    if not name.startswith("/") or name.endswith("/") or "\0" in name:
        raise ConfigurationError(f"{where} must be duckdb:///path/of/a/file: the path must be absolute.")
    return name


def _parameters(query: str, where: str) -> dict[str, str]:
    """The parameters of a URL that are used. Raises ConfigurationError for all others: none is dropped silently."""
    found: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, value = (unquote(text, errors="surrogateescape") for text in part.partition("=")[::2])
        if name not in KNOWN:
            shown = f"parameter `{name}`" if _NAME.fullmatch(name) else "parameter"
            raise ConfigurationError(
                f"{where} has a {shown} that is not used here.{did_you_mean(name, KNOWN)} "
                f"Remove it. Known: {', '.join(KNOWN)}."
            )
        if name in found or not value:
            raise ConfigurationError(f"{where} must have one value of {name}.")
        found[name] = value
    file = found.get("sslrootcert")
    if file and file != SYSTEM:
        found["sslrootcert"] = pem = _read(Path(file).expanduser(), f"{where} has sslrootcert={file}")
        if len(pem) > LARGEST_INLINE:
            raise ConfigurationError(
                f"{where} has sslrootcert={file}, which is too large for a secret ({len(pem):,} of {LARGEST_INLINE:,} "
                "bytes). Name the file as `ca` in [secrets.*] of pipeline.toml instead: it travels in the package."
            )
    return found


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{what}: {error}.") from error


def _check(where: str, host: str, sslmode: object, sslrootcert: object) -> None:
    """Raise ConfigurationError where no connection could be made, whatever the server answers."""
    mode, roots = (None if value is None else str(value) for value in (sslmode, sslrootcert))
    try:
        list(tls_of(host, mode, roots).attempts())
    except TlsError as error:
        raise ConfigurationError(f"{where}: {error}.") from error


def _notes_of_read(secret: SecretDeclaration, read: ReadSecret) -> list[str]:
    if not read.host:
        return []
    where = f"[secrets.{secret.name}]"
    _check(where, read.host, read.sslmode, ca_pem(secret) if secret.ca else None)
    return _notes(secret, where, read.host, read.sslmode, bool(secret.ca))


def _notes(secret: SecretDeclaration, where: str, host: str, sslmode: object, has_roots: bool) -> list[str]:
    if sslmode in PLAIN_TEXT and not (is_loopback(host) or host.startswith("/")):
        return [f"{where} has sslmode={sslmode}: the password and all rows may cross the network to {host} unencrypted"]
    if sslmode is None and not has_roots and is_unknown_region(host):
        return [
            f"the certificate of {host} is not verified: the authorities of Amazon RDS in that region are not known "
            f"here; name a file with them as `ca` in [secrets.{secret.name}]"
        ]
    return []
