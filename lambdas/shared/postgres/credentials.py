"""Credentials of a PostgreSQL database: from JSON, and from a secret of Secrets Manager."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ConnectionFailedError, PipelineError
from .tls import PEM, SYSTEM, rds_region

MAX_PORT = 65535
DUCKDB = "duckdb"  # `engine` of a file in the place of a server
_ENGINE = "postgres"  # RDS writes `postgres` or `aurora-postgresql`
_NAMES = {"user": "username", "database": "dbname"}  # other names in use -> RDS's


@dataclass(frozen=True)
class Credentials:
    """How to connect to a database."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str | None = None
    """As libpq's. ``None``: what ``tls.tls_of`` makes of the host."""
    sslrootcert: str | None = field(default=None, repr=False)
    """The authorities that the server's certificate is verified by: PEM, or ``system`` for the operating system's."""
    origin: str = "the credentials"
    """Where they were read from, for messages."""
    role: str = "PostgreSQL"
    """What the database is to the pipeline, for messages: the source, the warehouse."""
    token: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    """Makes what is used as the password of one connection; None: ``password`` is."""
    file: str | None = None
    """The DuckDB file in the place of a server; None: there is a server."""

    def __str__(self) -> str:
        """The server, the database, the user, and where all that was read."""
        if self.file is not None:
            return f"{self.role} in the DuckDB file {self.file} ({self.origin})"
        return f"{self.role} at {self.host}:{self.port}, database {self.database}, as user {self.user} ({self.origin})"

    @classmethod
    def from_json(cls, text: str, origin: str, role: str = "PostgreSQL", connection: str = "") -> Credentials:
        """From the JSON of a secret, in the form that RDS uses, with libpq's ``sslmode`` and ``sslrootcert``.

        ``connection``, JSON again, is what the declaration of a secret that others manage says: it takes precedence.
        ``user`` and ``database`` serve for ``username`` and ``dbname``.

        ``sslrootcert`` is PEM, ``system``, or the name of a file in the function's package, as authorities may be
        larger than a secret. Raises ConnectionFailedError, without the values.
        """
        stored = _object(text)
        if stored is None:
            raise ConnectionFailedError(
                f"{origin} must hold a JSON object with host, port, dbname, username and password."
            )
        engine = stored.get("engine", _ENGINE)
        if engine == DUCKDB:
            return cls.of_file(str(stored.get("file", "")), origin, role)
        if _ENGINE not in str(engine):
            raise ConnectionFailedError(f"{origin}: 'engine' is {str(engine)[:40]!r}, and PostgreSQL is expected.")
        value = {**{_NAMES.get(name, name): item for name, item in stored.items()}, **(_object(connection) or {})}
        texts = {}
        for key in ("host", "dbname", "username", "password"):
            if value.get(key) is None:
                raise ConnectionFailedError(f"{origin} lacks the key '{key}'{_remedy(key)}.")
            texts[key] = str(value[key]) if isinstance(value[key], str | int) else ""
            if not texts[key] or "\0" in texts[key]:
                raise ConnectionFailedError(f"{origin}: '{key}' must be a text without the character NUL.")
        port = "5432" if value.get("port") is None else str(value["port"])
        mode, roots = value.get("sslmode"), value.get("sslrootcert")
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT):
            raise ConnectionFailedError(f"{origin}: 'port' must be a number from 1 to {MAX_PORT}.")
        if not (isinstance(mode, str | None) and isinstance(roots, str | None)):
            raise ConnectionFailedError(f"{origin}: 'sslmode' and 'sslrootcert' must be texts.")
        login = texts["host"], int(port), texts["dbname"], texts["username"], texts["password"]
        return cls(*login, mode, _roots(roots, origin), origin, role)

    @classmethod
    def of_file(cls, file: str, origin: str, role: str = "PostgreSQL") -> Credentials:
        """Those of a DuckDB file, by its absolute path: who may read the file needs no others."""
        if not Path(file).is_absolute() or "\0" in file:
            raise ConnectionFailedError(f"{origin}: 'file' must be the absolute path of a DuckDB file.")
        return cls("", 0, Path(file).stem, "", "", origin=origin, role=role, file=file)

    @classmethod
    def by_iam(cls, connection: str, sign: Callable[..., str], origin: str, role: str = "PostgreSQL") -> Credentials:
        """Those of a user of Amazon RDS without a password. ``connection``: JSON with host, port, dbname and username.

        ``sign`` is ``generate_db_auth_token`` of boto3's client of RDS; it is called for each connection, with the
        region that the host's name has. The server is verified. Raises ConnectionFailedError.
        """
        found = cls.from_json(connection, origin, role, '{"password": "not used"}')
        region = rds_region(found.host)
        if region is None:
            raise ConnectionFailedError(
                f"{origin}: the host {found.host} is not the endpoint of a server or a proxy of Amazon RDS, which IAM "
                "authentication needs: a token is for that name."
            )
        parts = {"DBHostname": found.host, "Port": found.port, "DBUsername": found.user, "Region": region}
        return replace(found, password="", sslmode="verify-full", token=lambda: sign(**parts))  # nosec B106

    @classmethod
    def from_secret(cls, secrets: Any, name: str, role: str = "PostgreSQL", connection: str = "") -> Credentials:
        """From the secret ``name``, read with ``secrets``, the boto3 client of Secrets Manager.

        Reads it at each call, so that the next run uses a rotated password. ``connection`` is as for
        :meth:`from_json`. Raises PipelineError when there is no such secret or it may not be read, and
        ConnectionFailedError when it does not contain credentials.
        """
        try:
            answer = secrets.get_secret_value(SecretId=name)
        except secrets.exceptions.ResourceNotFoundException as error:
            remedy = (
                "Correct `arn` in [secrets.*]"
                if name.startswith("arn:")
                else "Set the environment variable that the configuration names for it ([secrets.*])"
            )
            raise PipelineError(f"The secret {name} does not exist. {remedy}, then deploy.") from error
        except secrets.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            raise PipelineError(
                f"The secret {name} may not be read: {error.response['Error'].get('Message', '')} Where a KMS key of "
                "your own encrypts it, name that as `kms_key` in [secrets.*], then deploy."
            ) from error
        return cls.from_json(answer.get("SecretString", ""), f"secret {name}", role, connection)


def is_by_iam(connection: str) -> bool:
    """Whether ``connection``, JSON of a function's environment, says that IAM authentication is used."""
    return (_object(connection) or {}).get("auth") == "iam"


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, Mapping) else None


def _remedy(key: str) -> str:
    declared = {"host": "host", "dbname": "database"}.get(key)
    return f": it must have it, or `{declared}` in [secrets.*] beside `arn`" if declared else ", which it must have"


def _roots(value: str | None, origin: str) -> str | None:
    if value is None or value == SYSTEM or PEM in value:
        return value
    file = Path(os.environ.get("LAMBDA_TASK_ROOT") or Path(__file__).parents[3]) / value
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConnectionFailedError(
            f"`sslrootcert` of {origin} names the file {value}, which cannot be read ({error.strerror}). Deploy again: "
            "the function must be packaged with the file that `ca` of the secret's declaration names."
        ) from error
