"""Each argument of ``Lambda_script``: which types it takes, and which it refuses with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambda_script import Alarm, Canary, Lambda_script, ToolkitError
from lambda_toolkit.errors import OwnershipError
from lambda_toolkit.spec.declaration.requirements_file import normalized, read_requirements
from lambda_toolkit.spec.ownership import (
    as_list,
    as_mapping,
    bounded,
    derived_name,
    is_owned,
    listing_prefix,
    other_scope,
    require_owned,
    short_hash,
)

ROLE, POLICY = (f"arn:aws:iam::123456789012:{kind}/x" for kind in ("role", "policy"))
QUEUE, KEY = "arn:aws:sqs:eu-west-2:123456789012:q", "arn:aws:kms:eu-west-2:123456789012:key/1"
LAYER = "arn:aws:lambda:eu-west-2:123456789012:layer:tools:3"
STRING, INTEGER, BOOLEAN = (5, b"x", ["x"]), ("5", 1.5, True), ("yes", 1, 0)
LIST, MAPPING = ("x", b"x", {"x": 1}, [1]), ("x", ["x"], 5)

ARGUMENTS: dict[str, tuple[Any, tuple[Any, ...]]] = {  # of those that may be None: a right value, and wrong ones
    "function_name_template": ("a-{stage}", STRING),
    "timezone": (None, STRING),
    "schedule_role": (ROLE, STRING),
    "application": ("shop", STRING),
    "handler": ("a.b", STRING),
    "runtime": ("python3.12", STRING),
    "environment": ({"AB": "x"}, MAPPING),
    "extra_files": ({"a": b"x", "b": Path("b")}, MAPPING),
    "platform": ("x86_64-manylinux2014", STRING),
    "permissions": ([{"Effect": "Deny", "NotAction": "a", "NotResource": ["r"]}], ("x", [1], {"Effect": "Allow"})),
    "on_failure": (QUEUE, STRING),
    "retries": (1, INTEGER),
    "max_event_age": (60, INTEGER),
    "concurrency": ("unreserved", ("5", 1.5, True, "")),
    "provisioned_concurrency": (1, INTEGER),
    "recursive_loop": ("Allow", STRING),
    "role": (ROLE, STRING),
    "permissions_boundary": (POLICY, STRING),
    "log_retention_days": (30, INTEGER),
    "ephemeral_storage": (512, INTEGER),
    "tracing": ("Active", STRING),
    "kms_key": (KEY, STRING),
    "snapstart": (False, BOOLEAN),
    "log_format": ("JSON", STRING),
    "log_level": ("", STRING),
    "system_log_level": ("", STRING),
    "log_group": ("/shop", STRING),
    "tags": ({"a": "b"}, MAPPING),
    "region": ("eu-west-2", STRING),
    "description": ("d", STRING),
    "artifact_bucket": ("lake", STRING),
    "health_event": ({"a": 1}, MAPPING),
}
NEEDED: dict[str, tuple[Any, tuple[Any, ...]]] = {  # those that may not
    "lambda_function_path": (Path("f.py"), (5, ["f.py"])),
    "zip_file_name": (Path("f.zip"), (5, ["f.zip"])),
    "stage": ("dev", STRING),
    "architecture": ("arm64", STRING),
    "memory": (256, INTEGER),
    "timeout": (5, INTEGER),
    "secret_environment": (("TOKEN",), LIST),
    "include": (["a", Path("b")], ("x", [5], {"x": 1})),
    "requirements_exclude": (["*.so"], LIST),
    "layers": ([LAYER], LIST),
    "provided_modules": (("torch",), LIST),
    "adopt": (True, BOOLEAN),
}


def declared(**given: Any) -> Any:
    return Lambda_script(**{"lambda_function_path": "f.py", **given}).spec


@pytest.mark.parametrize("name", [*ARGUMENTS, *NEEDED])
def test_argument_takes_its_type_and_refuses_others(name: str) -> None:
    right, wrong = {**ARGUMENTS, **NEEDED}[name]
    declared(**{name: right})
    for value in (*wrong, *([None] if name in NEEDED else [])):
        with pytest.raises(ToolkitError, match=rf"^{name} must be "):
            declared(**{name: value})
    if name in ARGUMENTS:
        declared(**{name: None})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"environment": {"AB": 1}}, r"environment['AB'] must map a string to a string, not int."),
        ({"environment": {1: "a"}}, "environment[1] must map a string to a string, not int."),
        ({"tags": {"a": None}}, "tags['a'] must map a string to a string, not NoneType."),
        ({"extra_files": {1: b""}}, "extra_files[1] must map"),
        ({"extra_files": {"a": "text"}}, "it is str. A string becomes bytes by .encode()."),
        ({"permissions": [{"Effect": "Allow", "Action": "a"}]}, "statement 1 needs `Resource`"),
        ({"permissions": [{"Effect": "Allow", "Resource": "a"}]}, "statement 1 needs `Action`"),
        ({"permissions": [{"Effect": "Maybe", "Action": "a", "Resource": "r"}]}, "statement 1 needs `Effect`"),
        ({"permissions": [{"Effect": "Allow", "Action": {1}, "Resource": "r"}]}, "statement 1 cannot be written"),
        ({"zip_file_name": ["x" * 57]}, "not list."),
        ({"zip_file_name": ["x" * 56]}, f"not ['{'x' * 56}']."),
        ({"requirements": "click"}, 'requirements must be a list, such as ["click"]'),
        ({"requirements": [1]}, 'requirements must be a list, such as ["pg8000"]'),
        ({"function_name_template": "a-{0}"}, "may hold {stage} and no other braces"),
        ({"function_name_template": "a-{"}, "may hold {stage} and no other braces"),
        ({"function_name_template": "a-{name}"}, "may hold {stage} and no other braces"),
        ({"function_name_template": "{stage.x}"}, "may hold {stage} and no other braces"),
        ({"canary": Canary("a", 1)}, "canary takes `weight` and `minutes`"),  # type: ignore[arg-type]
        ({"canary": Canary(0.5, True)}, "canary takes `weight` and `minutes`"),
        ({"canary": 0.5}, "canary takes `weight` and `minutes`"),
        ({"alarms": "errors"}, "alarms must be a list"),
        ({"alarms": [{}]}, "has no name and no metric"),
        ({"alarms": [{"name": "a", "metric": "m", "z": 1, "b": 2}]}, "has the unknown key `b, z`"),
        ({"alarms": ["a"]}, "alarms: 'a' must be an Alarm"),
    ],
)
def test_wrong_item_of_an_argument_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolkitError) as refused:
        declared(**given)
    assert said in str(refused.value)


ALARM: tuple[tuple[str, Any], ...] = (
    *(
        (name, 5)
        for name in (
            *("name", "metric", "namespace", "statistic", "comparison", "missing_data", "description", "expression"),
            *("alias", "topic", "dimensions"),
        )
    ),
    *(("threshold", value) for value in ("1", True, None)),
    *((name, value) for name in ("period", "evaluation_periods", "datapoints_to_alarm") for value in ("1", 1.5, True)),
    *(("notify_on_ok", value) for value in ("yes", 1)),
    *(("dimensions", value) for value in ({"a": 1}, {1: "a"}, ["a"])),
)


@pytest.mark.parametrize(("name", "value"), ALARM)
def test_field_of_an_alarm_with_another_type_is_named(name: str, value: Any) -> None:
    given = {"name": "a", "metric": "Errors", name: value}
    for alarm in (given, Alarm(**given)):
        with pytest.raises(ToolkitError, match=rf"^alarm `.+`: {name} must be "):
            declared(alarms=[alarm])


def test_alarm_of_an_alias_has_no_dimensions() -> None:
    with pytest.raises(ToolkitError, match="give dimensions or an alias, not both"):
        declared(alarms=[Alarm("a", "Errors", dimensions={}, alias="live")])
    right = Alarm("a", "Errors", threshold=0.5, topic="t", notify_on_ok=False, datapoints_to_alarm=1, alias="live")
    assert declared(alarms=(right,)).alarms == (right,)
    assert declared(alarms=[]).alarms == ()
    assert declared(alarms=None).alarms is None


def test_declaration_is_a_copy_of_what_was_given() -> None:
    environment, tags, files = {"AB": "x"}, {"a": "b"}, {"a": b"x"}
    found = declared(
        environment=environment,
        tags=tags,
        extra_files=files,
        include=["lib"],
        permissions=[],
        layers=[LAYER],
        zip_file_name="build/f.zip",
        canary={"weight": 0.5, "minutes": 1},
        alarms=[Alarm("e", "Errors")],
        function_name_template="f-{stage}",
        stage="prod",
    )
    for given in (environment, tags, files):
        given.clear()
    assert (found.environment, found.tags, found.extra_files) == ({"AB": "x"}, {"a": "b"}, {"a": b"x"})
    assert (found.include, found.permissions, found.layers) == ((Path("lib"),), (), (LAYER,))
    assert (found.zip_path, found.canary, found.name) == (Path("build/f.zip"), Canary(0.5, 1), "f-prod")
    plain = declared()
    assert (plain.name, plain.environment, plain.tags, plain.extra_files) == ("f", None, {}, {})
    assert (plain.permissions, plain.canary, plain.requirements) == (None, None, ())


def test_requirements_file_is_read_with_those_that_it_includes(tmp_path: Path) -> None:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    write("more.txt", "b\n")
    write("most.txt", "--requirement more.txt\nc\n")
    file = write("requirements.txt", "\ufeffa  # why\n-r most.txt\n--requirement=more.txt\n--index-url=https://x\n")
    assert read_requirements(file) == ("--index-url=https://x", "a", "b", "c")
    for line in ("-e .", "--editable .", "--editable=.", "-c x.txt", "--constraint x.txt"):
        with pytest.raises(ToolkitError, match="a layer is made of named packages"):
            read_requirements(write("wrong.txt", f"{line}\n"))
    with pytest.raises(ToolkitError, match="name each other"):
        read_requirements(write("itself.txt", "-r itself.txt\n"))
    (tmp_path / "latin.txt").write_bytes(b"a # \xe9\n")
    with pytest.raises(ToolkitError, match="it is not UTF-8 text"):
        read_requirements(tmp_path / "latin.txt")
    assert normalized(["b#x", " a  >= 1 ", "# all", "", "a >= 1"]) == ("a >= 1", "b#x")


def test_owner_is_the_toolkit_for_the_application_and_stage() -> None:
    mine = {"managed-by": "lambda_script", "lambda-script:function": "f", "application": "shop", "stage": "dev"}
    scope = {"application": "shop", "stage": "dev"}
    assert is_owned(mine, "f", scope) is True
    assert is_owned(mine, None, {}) is True
    assert is_owned(mine, "g", scope) is False
    assert is_owned({**mine, "managed-by": "me"}, "f") is False
    for other in ({"application": "x"}, {"stage": "x"}):
        assert is_owned(mine, "f", {**scope, **other}) is False
        assert other_scope(mine, {**scope, **other}) == "application `shop`, stage `dev`"
    assert is_owned(mine, "f", {"application": "shop"}) is True
    assert is_owned({"managed-by": "lambda_script"}, None, scope) is True, "a missing tag is drift"
    assert other_scope(mine, scope) == other_scope({}, scope) == ""
    require_owned("role", "r", mine, adopt=False, function="f", declared=scope)
    with pytest.raises(OwnershipError, match="belongs to application `shop`, stage `dev`"):
        require_owned("role", "r", mine, adopt=False, declared={"stage": "prod"})
    with pytest.raises(OwnershipError, match="tag that one managed-by=lambda_script\\.$"):
        require_owned("role", "r", {"stage": "dev"}, adopt=False)


def test_tags_have_two_forms() -> None:
    assert as_list({"b": "2", "a": "1"}) == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert as_mapping(as_list({"b": "2", "a": "1"})) == {"a": "1", "b": "2"}
    assert as_mapping(None) == as_mapping([]) == {}


def test_name_that_is_too_long_ends_in_a_hash() -> None:
    assert derived_name("x" * 59, "role") == f"{'x' * 59}-role"
    long = derived_name("x" * 60, "role")
    assert (len(long), long) == (64, f"{'x' * 50}-{short_hash('x' * 60)}-role")
    assert bounded("x" * 40, 40) == "x" * 40
    assert bounded("x" * 41, 40) == f"{'x' * 31}-{short_hash('x' * 41)}"
    assert bounded(f"{'x' * 30}-.{'y' * 10}", 40).startswith(f"{'x' * 30}-{short_hash('x' * 30 + '-.' + 'y' * 10)}")
    assert short_hash("") == "e3b0c442", "the SHA-256 of nothing begins so"


def test_prefix_of_a_list_is_shared_where_it_is_long_enough() -> None:
    assert listing_prefix(["shop-dev-a", "shop-dev-b", "shop-dev"], "shop-dev-a") == "shop-dev"
    assert listing_prefix(["a1", "a2"], "a2") == "a2"


FORMS: tuple[tuple[str, Any, str, Any], ...] = (
    ("s3_trigger", {"bucket": "lake"}, "s3_triggers", "lake"),
    ("topic_trigger", "orders", "topic_triggers", "orders"),
    ("queue_trigger", "orders", "queue_triggers", "orders"),
    ("stream_trigger", "clicks", "stream_triggers", "clicks"),
    ("event_trigger", {"pattern": {"source": ["shop"]}}, "event_triggers", "events"),
    ("url", "AWS_IAM", "url", "AWS_IAM"),
    ("vpc", {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}, "vpc", "subnet-1"),
    ("schedule", ["rate(1 day)", "rate(2 days)"], "schedules", "rate(2 days)"),
)


@pytest.mark.parametrize(("argument", "value", "field", "part"), FORMS)
def test_argument_of_several_forms_becomes_its_field(argument: str, value: Any, field: str, part: str) -> None:
    found = declared(**{argument: value})
    assert part in repr(getattr(found, field))
    assert getattr(declared(), field) is None
    with pytest.raises(ToolkitError):
        declared(**{argument: 5})
