"""What a local stack is: a value, the file ``.local/stack.json``, and the variables that point tools at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource
from lambda_toolkit.pipeline.local_stack.process import Identity

DIRECTORY = ".local"
STACK_FILE = "stack.json"


@dataclass(frozen=True)
class Stack:
    """A stack that is up: where its parts listen and who may use them."""

    root: Path
    aws_endpoint_url: str
    region: str
    account_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    source: Database  # the read-only user that extract uses
    source_admin: Database  # owns the source's tables
    warehouse: Database
    processes: Mapping[str, Identity]
    slack_url: str = field(default="", repr=False)  # of the webhook; see slack_receiver
    external: ExternalSource | None = None  # what the pipeline reads in place of ``source``, which is not there then

    @property
    def source_url(self) -> str:
        """What the pipeline reads."""
        return self.external.url if self.external else self.source.url

    @property
    def directory(self) -> Path:
        """Where the stack keeps everything."""
        return self.root / DIRECTORY

    @property
    def mail_sink(self) -> Path:
        """Where emails arrive; see lambda_toolkit.pipeline.local_stack.alerting.mail_sink."""
        return self.directory / "mail-sink"

    @property
    def slack_sink(self) -> Path:
        """Where messages for Slack arrive; see lambda_toolkit.pipeline.local_stack.alerting.slack_receiver."""
        return self.directory / "slack-sink"


def environment(stack: Stack) -> dict[str, str]:
    """The variables that point the AWS CLI, boto3, this project's deploy and psql at the stack. They hold passwords.

    The PG* variables are the source's administrator, who may change what the pipeline then picks up. A source that the
    stack did not start is in none of them.
    """
    shared = {
        "LAMBDA_SCRIPT_STACK": str(stack.root),
        "AWS_ENDPOINT_URL": stack.aws_endpoint_url,
        "AWS_ACCESS_KEY_ID": stack.access_key_id,
        "AWS_SECRET_ACCESS_KEY": stack.secret_access_key,
        "AWS_DEFAULT_REGION": stack.region,
        "AWS_REGION": stack.region,
        "WAREHOUSE_DATABASE_URL": stack.warehouse.url,
    }
    if stack.external:
        return shared
    admin = stack.source_admin
    return {
        **shared,
        "SOURCE_DATABASE_URL": stack.source.url,
        "PGHOST": admin.host,
        "PGPORT": str(admin.port),
        "PGDATABASE": admin.database,
        "PGUSER": admin.user,
        "PGPASSWORD": admin.password,
    }


def read_stack(path: Path) -> Stack:
    """The stack that a ``stack.json`` describes, whether it is up or not."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Stack(
            root=path.parent.parent,
            aws_endpoint_url=document["aws_endpoint_url"],
            region=document["region"],
            account_id=document["account_id"],
            access_key_id=document["access_key_id"],
            secret_access_key=document["secret_access_key"],
            source=Database(**document["source"]),
            source_admin=Database(**document["source_admin"]),
            warehouse=Database(**document["warehouse"]),
            processes=identities(document["processes"]),
            slack_url=document.get("slack_url", ""),
            external=ExternalSource(**document["external_source"]) if document.get("external_source") else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LocalError(
            f"{path} cannot be read as the description of a local stack ({error!r}). "
            f"Delete it, and run: {suggested('local down')}"
        ) from error


def write_stack(stack: Stack) -> None:
    """Write ``stack.json``, readable by its owner alone."""
    document = {
        "aws_endpoint_url": stack.aws_endpoint_url,
        "region": stack.region,
        "account_id": stack.account_id,
        "access_key_id": stack.access_key_id,
        "secret_access_key": stack.secret_access_key,
        "source": stack.source.as_dict(),
        "source_admin": stack.source_admin.as_dict(),
        "warehouse": stack.warehouse.as_dict(),
        "mail-sink": str(stack.mail_sink),
        "slack_url": stack.slack_url,
        "processes": documents(stack.processes),
        "external_source": asdict(stack.external) if stack.external else None,
    }
    private_files.write(stack.directory / STACK_FILE, document)


def identities(document: Mapping[str, Any]) -> dict[str, Identity]:
    """The processes that a JSON object names."""
    return {name: Identity(**values) for name, values in document.items()}


def documents(processes: Mapping[str, Identity]) -> dict[str, dict[str, float]]:
    """Processes as a JSON object."""
    return {name: {"pid": process.pid, "started": process.started} for name, process in processes.items()}
