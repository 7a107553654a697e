"""Reads ``[secrets.<name>]``: a database URL that deploys store, or a secret that others manage and functions read."""

from __future__ import annotations

import re
from pathlib import Path

from lambda_toolkit.pipeline.config.model import WEBHOOK, IamLogin, Pipeline, ReadSecret, SecretDeclaration
from lambda_toolkit.pipeline.config.schema.secret_table import SECRET
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems, Values
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.postgres.tls import is_unknown_region, rds_region

_MAX_PORT = 65535  # TCP's
# The name, and the hyphen and six characters that Secrets Manager adds to it in an ARN. Names of AWS's own have a `!`.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html
_ARN = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:[\w/+=.@!-]+-[A-Za-z0-9]{6}", re.A
)
_OF_IAM = ("host", "database", "user", "resource")
_RESOURCE = re.compile(r"(?:db|cluster|prx)-[A-Za-z0-9]+")
_USER = re.compile(r"[^*?$/\s\0]{1,63}")  # IAM reads *, ? and ${} in an ARN as patterns
_PORT = 5432
_OF_ARN = ("host", "port", "database", "sslmode", "kms_key")  # keys that need `arn`


def read_secret(problems: Problems, root: Path, name: str, values: Values) -> SecretDeclaration:
    """The secret that ``values`` declare; paths are relative to ``root``. Adds what is wrong to ``problems``.

    With ``arn``, ``name`` and ``environment`` are not used: a stage may add it. An empty one takes it away, and with it
    what else the file says about that secret.
    """
    place = f"[secrets.{name}]"
    ca = root / values["ca"] if values["ca"] else None
    kind = values["kind"]
    if kind == WEBHOOK and (ca or values["arn"]):
        problems.add(place, f"`kind` is {kind!r}: it has no `{'ca' if ca else 'arn'}`.")
    if values["auth"]:
        return _by_iam(problems, place, name, ca, values)
    if values["arn"]:
        for key in ("user", "resource"):
            if values[key]:
                problems.add(place, f"has `{key}`, which `auth` needs: a secret has the user.")
        port = values["port"]
        if port is not None and not 0 < port <= _MAX_PORT:
            problems.add(place, f"`port` {port} is not a number from 1 to {_MAX_PORT}.")
        read = ReadSecret(values["arn"], *(values[key] or None for key in _OF_ARN))
        return SecretDeclaration(name, template="", environment="", ca=ca, read=read)
    own, *_ = SECRET.alternatives
    for key in own:
        if values[key] is None:
            problems.add(place, f"lacks the key `{key}` (a string), or `arn` in place of `name` and `environment`.")
    unused = [f"`{key}`" for key in (*_OF_ARN, "user", "resource") if values[key] is not None]
    if unused and values["arn"] is None and values["auth"] is None:
        problems.add(place, f"has {', '.join(unused)}, which `arn` or `auth` needs: without it, the URL says that.")
    return SecretDeclaration(
        name, template=values["name"] or "", environment=values["environment"] or "", ca=ca, kind=kind
    )


def _by_iam(problems: Problems, place: str, name: str, ca: Path | None, values: Values) -> SecretDeclaration:
    """The login by IAM authentication that ``values`` declare."""
    texts = {key: values[key] or "" for key in _OF_IAM}
    for key, text in texts.items():
        if not text:
            problems.add(place, f"lacks the key `{key}` (a string), which `auth` needs.")
    if values["arn"]:
        problems.add(place, "has `arn` and `auth`, which are two ways to log in: remove one.")
    if values["kind"] == WEBHOOK:
        problems.add(place, f"`kind` is {WEBHOOK!r}: it has no `auth`.")
    for key in ("sslmode", "kms_key"):
        if values[key]:
            problems.add(place, f"has `{key}`, which `auth` does not need: the server is always verified by its name.")
    if texts["host"] and rds_region(texts["host"]) is None:
        problems.add(
            place,
            f"`host` {texts['host']!r} is not the endpoint of a server or proxy of Amazon RDS, as IAM authentication "
            "needs: a token is for that name, and no alias of it serves.",
        )
    elif texts["host"] and is_unknown_region(texts["host"]) and not ca:
        problems.add(place, "lacks the key `ca`: the authorities of Amazon RDS in that region are not known here.")
    if texts["resource"] and not _RESOURCE.fullmatch(texts["resource"]):
        problems.add(
            place,
            f"`resource` {texts['resource']!r} is not the resource id of a server, cluster or proxy, such as "
            "db-ABCDEFGHIJKL01234. It is shown by: aws rds describe-db-instances --query "
            "'DBInstances[].[DBInstanceIdentifier,DbiResourceId]'",
        )
    if texts["user"] and not _USER.fullmatch(texts["user"]):
        problems.add(place, f"`user` {texts['user']!r} has a character that a permission for one user cannot have.")
    port = _PORT if values["port"] is None else values["port"]
    if not 0 < port <= _MAX_PORT:
        problems.add(place, f"`port` {port} is not a number from 1 to {_MAX_PORT}.")
    login = IamLogin(texts["host"], port, texts["database"], texts["user"], texts["resource"])
    return SecretDeclaration(name, template="", environment="", ca=ca, iam=login)


def check_arns(problems: Problems, pipeline: Pipeline, account: str) -> None:
    """Add to ``problems`` each ``arn`` that the functions of ``pipeline`` could not read."""
    for secret in pipeline.secrets.values():
        if secret.read is None:
            continue
        place = f"[secrets.{secret.name}]"
        try:
            arn = pipeline.expand(secret.read.arn, account)
        except ConfigurationError as error:
            problems.add(place, str(error).removeprefix(f"{pipeline.path}: "))
            continue
        found = _ARN.fullmatch(arn)
        if not found:
            problems.add(
                place,
                f"`arn` {arn!r} is not the complete ARN of a secret, arn:aws:secretsmanager:<region>:<account>:secret:"
                "<name>-<6 characters>. It is shown by: aws secretsmanager describe-secret --secret-id NAME "
                "--query ARN",
            )
        elif pipeline.region and found["region"] != pipeline.region:
            problems.add(
                place,
                f"`arn` names a secret in {found['region']}, and the functions are in {pipeline.region}, from where it "
                "cannot be read. Replicate it to there, and name the replica.",
            )
