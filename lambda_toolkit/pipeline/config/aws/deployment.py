"""From the declaration to what the toolkit deploys to one account: functions, buckets, topic and secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from lambda_script import Alarm, CatalogSpec, Deployment, FunctionSpec, S3Trigger, SecretSpec, TopicSpec, TopicTrigger
from lambda_toolkit.pipeline.config.aws.alarm_notices import alarm_description, alarms_json
from lambda_toolkit.pipeline.config.aws.cloudwatch_dashboard import dashboards
from lambda_toolkit.pipeline.config.aws.readers import (
    reader_variables,
    starts_readers,
    starts_workers,
    worker_variables,
)
from lambda_toolkit.pipeline.config.aws.role_policy import bucket_of, partition, permissions, secret_id, topic_arn
from lambda_toolkit.pipeline.config.database_url import SecretValue, ca_file, ca_pem, connection_json, secret_value
from lambda_toolkit.pipeline.config.lock_file import lock_notes, locked, read_lock
from lambda_toolkit.pipeline.config.model import (
    ALARMS,
    ALERTS,
    WEBHOOK,
    FunctionDeclaration,
    Pipeline,
    SecretDeclaration,
)
from lambda_toolkit.pipeline.config.schema.toml_reader import did_you_mean
from lambda_toolkit.pipeline.config.schema.trigger_keys import expanded
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from lambda_toolkit.pipeline.lambdas.notifier.notices import ALARMS_FILE
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import TABLES_FILE, TABLES_FORMAT
from lambda_toolkit.pipeline.warehouse.column_types import with_types

SCHEMA = Path("config/warehouse.sql")
ARROW_MEMORY = {"MIMALLOC_ARENA_EAGER_COMMIT": "0"}
"""What functions that use Arrow tell its allocator: to take memory from the system when it is used, not before, and to
give it back. https://microsoft.github.io/mimalloc/environment.html"""


def deployment(
    pipeline: Pipeline,
    account: str,
    environ: Mapping[str, str],
    today: date | None = None,
    overwritten: Collection[str] = (),
) -> Deployment:
    """Everything that ``pipeline`` declares, for the AWS account ``account``. Secrets' values come from ``environ``.

    ``today``, by default UTC's, decides whether the lock of the requirements is old. ``overwritten``: the secrets, by
    their names in the file or on AWS, to write even if they were changed since a deploy wrote them.

    Raises ConfigurationError for a declaration or a value that cannot be deployed, and UsageError for a secret to
    overwrite that is not declared or has no value.
    """
    tables, lock = tables_json(pipeline), read_lock(pipeline)
    functions = tuple(
        replace(
            locked(function_spec(pipeline, function, account), pipeline, lock),
            extra_files={**function.spec.extra_files}
            | (
                {ALARMS_FILE: alarms_json(pipeline, account)}
                if function.is_notifier
                else {TABLES_FILE: tables, **_authorities(pipeline, function)}
            ),
        )
        for function in pipeline.functions.values()
    )
    values = {secret: secret_value(secret, environ) for secret in pipeline.secrets.values()}
    overwritten = _overwritten(pipeline, account, values, overwritten)
    return Deployment(
        functions=functions,
        buckets=tuple(
            replace(bucket, name=pipeline.bucket_name(name, account), tags=pipeline.common.tags)
            for name, bucket in pipeline.buckets.items()
        ),
        topics=_topics(pipeline, account),
        secrets=tuple(
            SecretSpec(
                pipeline.expand(secret.template, account),
                value=value.text,
                environment=secret.environment,
                overwrite=secret.name in overwritten,
                optional=secret.kind == WEBHOOK,
                tags=pipeline.common.tags,
            )
            for secret, value in values.items()
            if secret.is_stored
        ),
        dashboards=dashboards(pipeline, functions, account),
        catalogs=_catalogs(pipeline, tables, account),
        secrets_of_others=tuple(pipeline.expand(secret.read.arn, account) for secret in values if secret.read),
        application=pipeline.name,
        stage=pipeline.stage,
        notes=(
            *(_note_of_read(pipeline, secret, account) for secret in values if secret.read),
            *(_note_of_iam(secret) for secret in values if secret.iam),
            *(note for value in values.values() for note in value.notes),
            *lock_notes(functions, lock, today or datetime.now(UTC).date()),
        ),
    )


def _catalogs(pipeline: Pipeline, tables: bytes, account: str) -> tuple[CatalogSpec, ...]:
    if not pipeline.has_catalog:
        return ()
    from lambda_toolkit.pipeline.config.aws.lake_catalog import catalog  # imported on use: it needs Arrow

    return (catalog(pipeline, json.loads(tables), account),)


def function_spec(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> FunctionSpec:
    """What the toolkit deploys of ``function`` in ``account``, without the declaration of the tables in its package."""
    role, boundary = function.spec.role, function.spec.permissions_boundary
    return replace(
        function.spec,
        role=role and pipeline.expand(role, account),
        schedule_role=function.spec.schedule_role and pipeline.expand(function.spec.schedule_role, account),
        schedules=function.spec.schedules
        and tuple(
            replace(item, dead_letter_queue=pipeline.expand(item.dead_letter_queue, account))
            for item in function.spec.schedules
        ),
        on_failure=_destination(pipeline, function.spec.on_failure, account),
        permissions_boundary=boundary and pipeline.expand(boundary, account),
        environment=environment(pipeline, function, account),
        s3_triggers=_triggers(pipeline, function, account),
        topic_triggers=_topic_triggers(pipeline, function, account),
        **expanded(function.spec, lambda text: pipeline.expand(text, account)),
        alarms=_alarms(pipeline, function, account),
        permissions=None if role else permissions(pipeline, function, account),
        log_group=function.spec.log_group and pipeline.expand(function.spec.log_group, account),
    )


def _destination(pipeline: Pipeline, declared: str | None, account: str) -> str | None:
    """The ARN of what gets failed events, which may be one of the buckets."""
    if declared is not None and declared in pipeline.buckets:
        from lambda_toolkit.aws.account import Place  # imported on use: it needs botocore's endpoints

        place = Place(account, pipeline.region, partition(pipeline.region))
        return place.arn("s3", pipeline.bucket_name(declared, account))
    return declared and pipeline.expand(declared, account)


def aws_names(pipeline: Pipeline, names: Collection[str]) -> tuple[str, ...] | None:
    """The names on AWS of the functions called ``names``; ``None``, which means all, where none is named.

    A function may be named as in the file or as on AWS. Raises UsageError for one that is not declared.
    """
    return tuple(aws_name(pipeline, name) for name in names) or None


def aws_name(pipeline: Pipeline, name: str) -> str:
    """The name on AWS of the function called ``name``. Raises UsageError where it is not declared."""
    known = {pipeline.function_name(function): pipeline.function_name(function) for function in pipeline.functions}
    known |= {function: pipeline.function_name(function) for function in pipeline.functions}
    if name not in known:
        raise UsageError(
            f"There is no function `{name}` in {pipeline.path}.{did_you_mean(name, known)} "
            f"Declared: {', '.join(pipeline.functions)}."
        )
    return known[name]


def _overwritten(
    pipeline: Pipeline, account: str, values: Mapping[SecretDeclaration, SecretValue], names: Collection[str]
) -> frozenset[str]:
    """The names in the file of the secrets called ``names``, each of which has a value to write."""
    known = {secret_id(pipeline, secret, account): secret for secret in values if not secret.iam}
    known |= {secret.name: secret for secret in values}
    for name in names:
        if name in known and known[name].iam:
            raise UsageError(f"--overwrite-secret {name}: [secrets.{name}] has `auth`, and no value to write.")
        if name in known and known[name].read:
            raise UsageError(f"--overwrite-secret {name}: others manage it ([secrets.{known[name].name}] has `arn`).")
        if name not in known:
            raise UsageError(
                f"--overwrite-secret: there is no secret `{name}` in {pipeline.path}.{did_you_mean(name, known)} "
                f"Declared: {', '.join(pipeline.secrets) or 'none'}."
            )
        if values[known[name]].text is None:
            raise UsageError(
                f"--overwrite-secret {name}: the environment variable {known[name].environment} is not set, so there "
                "is no value to write."
            )
    return frozenset(known[name].name for name in names)


def tables_json(pipeline: Pipeline) -> bytes:
    """The declaration of the tables with the types of the warehouse's schema; the same bytes for the same content.

    Raises ConfigurationError where the two do not fit each other.
    """
    check_mirror(pipeline)
    tables = with_types(pipeline.tables, schema_sql(pipeline), str(pipeline.root / SCHEMA))
    return (
        json.dumps({"format": TABLES_FORMAT, **pipeline.document, **tables}, indent=1, ensure_ascii=False).encode()
        + b"\n"
    )


def schema_sql(pipeline: Pipeline) -> str:
    """The warehouse's schema: as it was written, and after it the mirrored tables.

    Raises ConfigurationError where it cannot be read, and where tables are mirrored that are not known yet.
    """
    check_mirror(pipeline)
    path = pipeline.root / SCHEMA
    try:
        own = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        if pipeline.mirrored and not pipeline.declared["warehouse"]:
            return pipeline.mirror or ""
        raise ConfigurationError(
            f"{path} does not exist. It holds the CREATE TABLE statements of what [warehouse] declares."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The warehouse's schema {path} cannot be read: {error}.") from error
    return f"{own}\n;\n{pipeline.mirror}" if pipeline.mirror else own


def check_mirror(pipeline: Pipeline) -> None:
    """Raise ConfigurationError where tables are to be mirrored and it is not known which, nor what they are like."""
    if pipeline.mirrored and pipeline.mirror is None:
        from lambda_toolkit.pipeline.config.mirror import MIRROR_FILE

        secret = pipeline.secrets.get("source")
        do = f"Set {secret.environment} to the URL of the source" if secret else "Declare [secrets.source]"
        raise ConfigurationError(
            f"{pipeline.root / MIRROR_FILE} does not exist: it lists the tables that [warehouse] `mirror` means, with "
            f"their columns. {do}, and repeat the command: it reads the catalog and writes the file, which you commit."
        )


def environment(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> dict[str, str]:
    """The function's environment: names of what it uses, never a secret."""
    used = dict.fromkeys(map(bucket_of, (*function.reads, *function.writes, *function.sweeps)))
    variables = {f"{bucket.upper()}_BUCKET": pipeline.bucket_name(bucket, account) for bucket in used}
    for name in function.secrets:
        secret = pipeline.secrets[name]
        if not secret.iam:
            variables[f"{name.upper()}_SECRET"] = secret_id(pipeline, secret, account)
        if connection := connection_json(secret):
            variables[f"{name.upper()}_CONNECTION"] = connection
    if function.is_notifier:
        variables["ALERTS_TOPIC"] = topic_arn(pipeline, ALERTS, account)
    if starts_readers(pipeline, function.name):
        variables |= reader_variables(pipeline)
    if starts_workers(pipeline, function.name):
        variables |= worker_variables(pipeline)
    if function.name == "load":
        variables["LOAD_CONNECTIONS"] = str(pipeline.load_connections)
    if any(re.match(r"pyarrow\b", requirement) for requirement in function.spec.requirements):
        variables |= ARROW_MEMORY
    return {
        **variables,
        "METRICS_NAMESPACE": f"{pipeline.name}-{pipeline.stage}",
        **(function.spec.environment or {}),
    }


def _note_of_read(pipeline: Pipeline, secret: SecretDeclaration, account: str) -> str:
    readers = [function.name for function in pipeline.functions.values() if secret.name in function.secrets]
    who = f"{' and '.join(readers)} may read it" if readers else "no function reads it"
    arn = secret_id(pipeline, secret, account)
    return f"secret {secret.name} is {arn}, which others manage: {who}, and nothing of it is written or tagged"


def _note_of_iam(secret: SecretDeclaration) -> str:
    login = secret.iam
    assert login is not None  # noqa: S101  # nosec B101  # the caller asked
    return f"{secret.name}: {login.user} logs in to {login.host} by IAM authentication, and no password is stored"


def _authorities(pipeline: Pipeline, function: FunctionDeclaration) -> dict[str, bytes]:
    """The files in the function's package that its secrets name: authorities may be larger than a secret."""
    secrets = [pipeline.secrets[name] for name in function.secrets]
    return {ca_file(secret): ca_pem(secret).encode() for secret in secrets if secret.ca}


def _triggers(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> tuple[S3Trigger, ...] | None:
    if function.s3_triggers is None:
        return None
    return tuple(
        replace(trigger, bucket=pipeline.bucket_name(trigger.bucket, account)) for trigger in function.s3_triggers
    )


def _topics(pipeline: Pipeline, account: str) -> tuple[TopicSpec, ...]:
    """The topic that people read, and that of the alarms, where it is another one."""
    names = pipeline.topic_names(account)
    read = replace(pipeline.topic, name=names[ALERTS])
    return (read, replace(read, name=names[ALARMS], emails=None)) if names[ALARMS] != names[ALERTS] else (read,)


def _topic_triggers(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> tuple[TopicTrigger, ...] | None:
    if function.topic_triggers is None:
        return None
    names = pipeline.topic_names(account)
    return tuple(
        TopicTrigger(names[topic] if topic in names else pipeline.expand(topic, account))
        for topic in function.topic_triggers
    )


def _alarms(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> tuple[Alarm, ...] | None:
    """The function's alarms. Those of the notifier itself notify people directly, as it cannot speak of its failure.

    Of these, people are not notified when they are fine: a new alarm becomes that, too.
    """
    if function.alarms is None:
        return None
    names = pipeline.topic_names(account)
    return tuple(
        replace(
            pipeline.alarms[name],
            namespace=pipeline.expand(pipeline.alarms[name].namespace, account),
            topic=names[ALERTS if function.is_notifier else ALARMS],
            notify_on_ok=True if pipeline.alarm_topic else None,
            description=alarm_description(pipeline, function.name, name),
        )
        for name in function.alarms
    )
