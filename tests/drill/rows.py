"""What the drill breaks: for each cause of the runbook, how the component itself is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
from pg8000.native import DatabaseError, identifier, literal

from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.databases import SOURCE, WAREHOUSE, WAREHOUSE_LOADER
from lambda_toolkit.pipeline.local_stack.totesys.expected import EXPECTATIONS
from tests.drill import servers
from tests.drill.site import CLOCK_SPEED, FRESH_WITHIN, Site
from tests.support.account import eventually
from tests.support.databases import run

MISSED_EVENTS = 450.0  # seconds: transform looks for batches that are five minutes old
VOLUME_PAGES = 100_000  # more than the volume has
Shell = Mapping[str, str]
"""Variables of the shell in which the repair is typed."""


@dataclass(frozen=True)
class Row:
    """A row of the drill. ``breaks`` breaks the component, and returns what the shell of the repair knows."""

    cause: str
    """The title of its section in the runbook."""
    breaks: Callable[[Site], Shell]
    possible: Callable[[], bool] = lambda: True
    """Whether it can be tried here."""
    incident: str = ""
    """The alarm that begins the incident, where the row's joins it: the message names that one."""
    messages: tuple[str, str] = ("", "")
    """Where no alarm rises: words in the subjects of the emails when it begins, and when it is over."""
    promised: float = 0.0
    """Seconds after which what is broken is a breach: of a promise of freshness."""
    complete_within: float = 120.0
    """Seconds from the repair until the warehouse has everything."""
    passes: bool = False
    """Whether the next run repairs it, so that the alarm may be over before a command is typed."""


def _stop(server: str) -> Callable[[Site], Shell]:
    def breaks(site: Site) -> Shell:
        stopped: servers.Server = getattr(site, server)
        stopped.stop()
        return {"PGDATA": stopped.data}

    return breaks


def _change_password(server: str, user: str, variable: str) -> Callable[[Site], Shell]:
    """Change it on the server; the shell of the repair has the URL with the new one."""

    def breaks(site: Site) -> Shell:
        changed: Database = replace(getattr(site, user), password="changed last night")
        getattr(site, server).run(f"ALTER ROLE {identifier(changed.user)} PASSWORD {literal(changed.password)}")
        site.environ[variable] = changed.url
        setattr(site, user, changed)  # for the rows after this one
        return {}

    return breaks


def _drop_column(site: Site) -> Shell:
    site.source.run("ALTER TABLE staff DROP COLUMN email_address", SOURCE)
    staff = next(expectation for expectation in EXPECTATIONS if expectation.table == "dim_staff")
    computed = "first_name || '@example.com' AS email_address"
    site.expected["dim_staff"] = replace(staff, expected=staff.expected.replace("email_address", computed))
    return {}


def _write_bad_row(site: Site) -> Shell:
    run(
        site.stack.source_admin, "UPDATE currency SET currency_code = 'XXQ', last_updated = now() WHERE currency_id = 2"
    )
    return {}


def _delete_processed_object(site: Site) -> Shell:
    """A file of a batch that is transformed and not loaded."""
    with _schedules_paused(site):
        batch, keys = eventually(lambda: _transformed(site), 60)
        s3, bucket = site.client("s3"), site.bucket("processed")
        s3.delete_object(Bucket=bucket, Key=next(key for key in keys if key.startswith("data/")))
    return {"BATCH": str(batch)}


def _transformed(site: Site) -> tuple[int, list[str]] | None:
    """The next batch that load will load, and its files; None until it is transformed. Starts extract meanwhile."""
    loaded = run(site.warehouse.superuser(WAREHOUSE), "SELECT coalesce(max(batch), 0) FROM pipeline.ledger")[0][0]
    batch = int(str(loaded)) + 1
    s3, bucket = site.client("s3"), site.bucket("processed")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    manifest = f"manifests/batch-{batch:012}.json"
    if manifest not in keys:
        site.type("python deploy.py invoke extract")  # finds nothing where the business has paused
        return None
    named = json.dumps(json.loads(s3.get_object(Bucket=bucket, Key=manifest)["Body"].read()))
    return batch, [key for key in keys if key in named]


def _kill_load(site: Site) -> Shell:
    """While it waits in its transaction for a table, so that it has written others."""
    blocking = site.warehouse.superuser(WAREHOUSE).connect()
    try:
        blocking.run("BEGIN")
        blocking.run("LOCK TABLE fact_payment IN ACCESS EXCLUSIVE MODE")
        [[port]] = eventually(
            lambda: site.warehouse.run(
                "SELECT client_port FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                f"AND usename = {literal(WAREHOUSE_LOADER)} AND backend_xid IS NOT NULL"
            ),
            60,
        )
        _process_at(int(str(port))).kill()
    finally:
        blocking.close()
    return {}


def _process_at(port: int) -> psutil.Process:
    """The process whose connection has the local ``port``."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid and connection.raddr:
            process = psutil.Process(connection.pid)
            if "postgres" not in process.name():
                return process
    raise AssertionError(f"no process has the local port {port}")


def _disable_schedule(function: str) -> Callable[[Site], Shell]:
    def breaks(site: Site) -> Shell:
        site.client("events").disable_rule(Name=site.name(f"{function}-schedule"))
        return {}

    return breaks


def _start_transform_by_nothing(site: Site) -> Shell:
    site.client("s3").put_bucket_notification_configuration(
        Bucket=site.bucket("ingestion"), NotificationConfiguration={}
    )
    return _disable_schedule("transform")(site)


def _delete_role_policy(function: str) -> Callable[[Site], Shell]:
    def breaks(site: Site) -> Shell:
        iam = site.client("iam")
        described = site.client("lambda").get_function_configuration(FunctionName=site.name(function))
        role = described["Role"].rpartition("/")[2]
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=policy)
        return {}

    return breaks


def _refer_to_a_bad_row(site: Site) -> Shell:
    owner = site.stack.source_admin
    run(owner, "INSERT INTO currency SELECT 4, 'XXQ', now(), now()")
    run(
        owner,
        "UPDATE sales_order SET currency_id = 4 WHERE sales_order_id = (SELECT max(sales_order_id) FROM sales_order)",
    )
    return {}


def _reserve_nothing(site: Site) -> Shell:
    site.client("lambda").put_function_concurrency(FunctionName=site.name("load"), ReservedConcurrentExecutions=0)
    return {}


def _fill_disk(site: Site) -> Shell:
    """Another table takes what the volume of the warehouse has, to the last page: a row is a page."""
    connection = site.warehouse.superuser(WAREHOUSE).connect()
    try:
        connection.run("CREATE TABLE scratch (filler text)")
        connection.run("ALTER TABLE scratch ALTER filler SET STORAGE PLAIN")
        for rows in (1000, 30, 1):
            for _ in range(VOLUME_PAGES):
                try:
                    connection.run(f"INSERT INTO scratch SELECT repeat('x', 8000) FROM generate_series(1, {rows})")
                except DatabaseError as error:
                    assert "No space left on device" in str(error), error
                    break
    finally:
        connection.close()
    return {}


def _replace_webhook(site: Site) -> Shell:
    """Nothing answers at the address that the secret has; the shell of the repair has the new one."""
    site.slack.close()
    topic = f"arn:aws:sns:{site.stack.region}:{site.stack.account_id}:{site.name('alarms')}"
    site.client("sns").publish(TopicArn=topic, Subject="A message", Message="that is to be sent")
    site.environ["SLACK_WEBHOOK_URL"] = site.slack.open()
    return {}


def _lock_a_table(site: Site) -> Shell:
    """In a session that is left open, as one of a person who went home: load waits for it, and nothing fails."""
    connection = site.loader.connect()
    site.at_the_end.append(connection.close)
    connection.run("BEGIN")
    connection.run("LOCK TABLE fact_payment IN ACCESS EXCLUSIVE MODE")
    return {}


@contextmanager
def _schedules_paused(site: Site) -> Iterator[None]:
    embedded.set_clock_speed(site.stack, 0.001)
    try:
        yield
    finally:
        embedded.set_clock_speed(site.stack, CLOCK_SPEED)


ROWS = (
    Row("The source does not answer", _stop("source")),
    Row("The password of the source was changed", _change_password("source", "reader", "SOURCE_DATABASE_URL")),
    Row("A column of the source was dropped", _drop_column),
    Row("extract may not do what it needs", _delete_role_policy("extract")),
    Row("transform may not do what it needs", _delete_role_policy("transform")),
    Row("A value cannot be converted", _write_bad_row),
    Row("A row refers to a rejected one", _refer_to_a_bad_row, incident="transform-rejected"),
    Row("The warehouse does not answer", _stop("warehouse")),
    Row("The password of the warehouse was changed", _change_password("warehouse", "loader", "WAREHOUSE_DATABASE_URL")),
    Row("A file of the processed bucket was deleted", _delete_processed_object),
    Row("load was killed", _kill_load, passes=True),
    Row("The disk of the warehouse is full", _fill_disk, servers.may_mount),
    Row("The schedule of extract is off", _disable_schedule("extract")),
    Row("Nothing starts transform", _start_transform_by_nothing, complete_within=MISSED_EVENTS),
    Row("The schedule of load is off", _disable_schedule("load")),
    Row("AWS does not start the function", _reserve_nothing),
    Row("notifier may not do what it needs", _delete_role_policy("notifier")),
    Row("The schedule of notifier is off", _disable_schedule("notifier")),
    Row("Another session blocks load", _lock_a_table, promised=FRESH_WITHIN),
    Row("The schedule of freshness is off", _disable_schedule("freshness")),
    Row("Slack's webhook is dead", _replace_webhook, messages=("Slack does not take", "Slack takes")),
)
