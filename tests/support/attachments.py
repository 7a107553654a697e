"""The table of attachments in ``docs/extending.md``. ``python -m tests.support.attachments`` writes it again.

A file of the toolkit counts for an attachment where it imports one of its modules or dataclasses, or has its field of
``FunctionSpec`` or its argument: what was touched to add it, and what has come to use it since.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from tests.support.repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "extending.md"
BEGIN, END = "<!-- attachments: python -m tests.support.attachments -->\n", "<!-- end of attachments -->\n"
FEW = 6
_COLUMNS = ("attachment", "argument", "files", "calls", "tests", "AWS in these", "local stack", "example")
_HEAD = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|\n"
_FOLDERS = ("aws", "deploy", "packaging", "resources", "running", "spec")
_OWNERS = ("spec", "arguments", "self")  # whose attributes are fields of a function
_CLASSES = ("FunctionSpec", "Arguments", "Lambda_script")


@dataclass(frozen=True)
class Attachment:
    """A module of ``registry.ATTACHMENTS``, and what belongs to it."""

    module: str
    arguments: str
    """Of ``Lambda_script``."""
    names: str
    """Fields of ``FunctionSpec`` and arguments, with a dot; dataclasses, and modules of its own."""
    calls: Mapping[str, int]
    """Operations of a plan of three functions in which nothing changed, and how often each is called."""
    tests: str
    """Files below ``tests/aws``, without ``test_`` and ``.py``."""
    example: str
    """A folder below ``examples``."""
    why: str = ""
    """Why it takes more than six files."""
    fake: str = ""
    """The module of ``tests/support`` that makes moto do what AWS documents of it; empty: moto as it is."""
    stack: str = ""
    """The file of tests, below ``tests``, that shows it at work on the local stack; empty: none does."""


_ONE, _EACH = 1, 3
ATTACHMENTS = (
    Attachment(
        "role",
        "permissions, role, permissions_boundary",
        ".permissions .permissions_boundary",
        {"ListRoles": _ONE, "GetRole": _EACH, "GetRolePolicy": _EACH},
        "given_role",
        "notes",
        "all that a role is needed for adds statements to it",
        stack="end_to_end/test_privileges.py",
    ),
    Attachment(
        "log_group",
        "log_retention_days",
        ".log_retention_days",
        {"DescribeLogGroups": _ONE},
        "drift",
        "reminders",
        "logs are data, which a removal keeps",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "event_rule",
        "schedule",
        ".schedule",
        {"ListRules": _ONE, "ListTargetsByRule": _EACH},
        "schedules",
        "hello",
        "Scheduler and canaries look at it",
        stack="local_stack/test_emulator.py",
    ),
    Attachment(
        "schedule_role",
        "schedule_role",
        ".schedule_role",
        {"GetRole": _EACH, "GetRolePolicy": _EACH},
        "schedules",
        "given_roles",
        "a role is read, written and removed with the other roles",
        fake="moto_scheduler",
        stack="local_stack/test_emulator.py",
    ),
    Attachment(
        "schedule",
        "schedule, timezone",
        ".schedules schedule_group handover",
        {"ListRules": _ONE, "ListSchedules": _ONE, "GetSchedule": _EACH},
        "schedules",
        "schedules",
        "a group, a role and the change from a rule and back",
        fake="moto_scheduler",
        stack="end_to_end/test_single_time.py",
    ),
    Attachment(
        "s3_notification",
        "s3_trigger",
        ".s3_triggers .s3_trigger S3Trigger",
        {"GetBucketNotificationConfiguration": _EACH},
        "s3_notification s3_notification_ownership",
        "notes",
        "a bucket has one configuration for all functions",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "topic_subscription",
        "topic_trigger",
        ".topic_triggers .topic_trigger TopicTrigger",
        {"ListSubscriptionsByTopic": _EACH, "GetSubscriptionAttributes": _EACH},
        "topic_trigger",
        "reminders",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "event_pattern_rule",
        "event_trigger",
        ".event_triggers .event_trigger EventTrigger",
        {"DescribeRule": _EACH, "ListTargetsByRule": _EACH},
        "event_trigger",
        "orders",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "event_source_mapping",
        "queue_trigger, stream_trigger",
        ".queue_triggers .queue_trigger .stream_triggers .stream_trigger QueueTrigger StreamTrigger event_source "
        "mapping_settings",
        {"ListEventSourceMappings": _ONE, "GetQueueUrl": _ONE, "GetQueueAttributes": _ONE},
        "queue_trigger stream_trigger",
        "orders",
        "two kinds of sources, each with settings of its own",
        fake="moto_event_sources",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "function_url",
        "url",
        ".url FunctionUrl",
        {"GetFunctionUrlConfig": _EACH},
        "function_url",
        "orders",
        fake="moto_function_urls",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "async_invocation",
        "on_failure, retries, max_event_age",
        ".on_failure .max_event_age",
        {"GetFunctionEventInvokeConfig": _EACH},
        "async_invocation",
        "reminders",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "concurrency",
        "concurrency",
        ".concurrency",
        {"GetFunctionConcurrency": _EACH},
        "concurrency",
        "reminders",
        fake="moto_concurrency",
        stack="end_to_end/test_long_load.py",
    ),
    Attachment(
        "provisioned",
        "provisioned_concurrency",
        ".provisioned_concurrency",
        {"GetProvisionedConcurrencyConfig": _EACH},
        "provisioned_concurrency",
        "prices",
        "a release and a rollback take it along",
        fake="moto_concurrency",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "recursion",
        "recursive_loop",
        ".recursive_loop",
        {"GetFunctionRecursionConfig": _EACH},
        "provisioned_concurrency",
        "reminders",
        fake="moto_concurrency",
        stack="end_to_end/test_examples.py",
    ),
    Attachment(
        "network",
        "vpc",
        ".vpc Vpc subnets interfaces ways_out",
        dict.fromkeys(
            ("DescribeSubnets", "DescribeSecurityGroups", "DescribeRouteTables", "DescribeVpcEndpoints"), _ONE
        ),
        "network",
        "private_network",
        "Lambda's interfaces outlive the function, and the plan says what a network lacks",
        fake="lambda_networks",
        stack="end_to_end/test_schedule_move.py",
    ),
    Attachment(
        "alarm",
        "alarms",
        ".alarms Alarm",
        {"DescribeAlarms": _ONE},
        "drift",
        "notes",
        "canaries look at alarms",
        stack="end_to_end/test_failures.py",
    ),
)


def table() -> str:
    """The table, by the code as it is."""
    rows = (_row(attachment) for attachment in ATTACHMENTS)
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def files_of(attachment: Attachment) -> list[str]:
    """The files of the toolkit that name it."""
    wanted = {attachment.module, *attachment.names.split()}
    own = f"/{attachment.module}.py"
    return [file for file, names in _names_by_file().items() if names & wanted or file.endswith(own)]


def written() -> str:
    """The table as the page has it."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def _row(attachment: Attachment) -> Iterator[str]:
    number = len(files_of(attachment))
    yield f"`{attachment.module}`"
    yield ", ".join(f"`{name}`" for name in attachment.arguments.split(", "))
    yield f"{number}: {attachment.why}" if number > FEW else str(number)
    yield str(sum(attachment.calls.values()))
    yield ", ".join(f"`test_{name}.py` ({_tests(name)})" for name in attachment.tests.split())
    yield f"moto with [`{attachment.fake}`](../tests/support/{attachment.fake}.py)" if attachment.fake else "moto"
    yield f"`{attachment.stack}`" if attachment.stack else "no"
    yield f"[`{attachment.example}`](../examples/{attachment.example}/README.md)"


def _tests(name: str) -> int:
    tree = ast.parse((REPOSITORY / "tests" / "aws" / f"test_{name}.py").read_text(encoding="utf-8"))
    return sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in tree.body)


@cache
def _names_by_file() -> dict[str, frozenset[str]]:
    places = (sorted((REPOSITORY / "lambda_toolkit" / folder).rglob("*.py")) for folder in _FOLDERS)
    files = [REPOSITORY / "lambda_script.py", *(file for found in places for file in found)]
    return {
        str(file.relative_to(REPOSITORY)): frozenset(_names(ast.parse(file.read_text(encoding="utf-8"))))
        for file in files
    }


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom():
                yield from (alias.name for alias in node.names)
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name) if owner in _OWNERS:
                yield f".{name}"
            case ast.ClassDef() if node.name in _CLASSES:
                yield node.name
                yield from _declared(node)
            case ast.ClassDef():
                yield node.name


def _declared(node: ast.ClassDef) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield f".{item.target.id}"
        elif isinstance(item, ast.arg):
            yield f".{item.arg}"


def main() -> None:
    """Write the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
