"""Wrong arguments of ``Lambda_script`` raise readable errors, before any call to AWS."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from lambda_script import (
    Alarm,
    Lambda_script,
    LimitError,
    PackageError,
    PlanError,
    S3Trigger,
    ScheduleError,
    ToolkitError,
    TriggerError,
    deploy_all,
)
from lambda_toolkit.spec.declaration.argument_types import Arguments
from lambda_toolkit.spec.model import FunctionSpec


def test_schedule_that_is_not_a_string():
    with pytest.raises(ScheduleError, match="must be a string such as .* not 5"):
        Lambda_script("function.py", schedule=5)  # type: ignore[arg-type]


def test_time_zone_without_a_schedule():
    with pytest.raises(ScheduleError, match="timezone `Europe/London` is that of a schedule, and no schedule is"):
        Lambda_script("function.py", timezone="Europe/London")
    Lambda_script("function.py", timezone="Europe/London", schedule="")  # a stage's: it removes the schedule


@pytest.mark.parametrize(
    "trigger",
    [{"buckets": "b"}, {}, ["b"], "b", 5, {"bucket": 5}, S3Trigger("b", prefix=None), S3Trigger("b", events=None)],
)
def test_a_trigger_that_is_none(trigger):
    with pytest.raises(TriggerError, match="s3_trigger takes `bucket`"):
        Lambda_script("function.py", s3_trigger=trigger)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"memory": "256"}, "memory must be an integer number of MB, such as 256, not '256'."),
        ({"memory": 128.5}, "memory must be an integer number of MB"),
        ({"timeout": None}, "timeout must be an integer number of seconds, such as 60, not None."),
        ({"timeout": True}, "not True"),
        ({"log_retention_days": "30"}, "log_retention_days must be an integer number of days"),
        ({"runtime": 3.12}, "runtime must be a string, such as python3.12, not 3.12."),
        ({"handler": 5}, "handler must be a string, not 5."),
        ({"stage": None}, "stage must be a string, such as dev, not None."),
        ({"application": 5}, "application must be a string"),
        ({"region": 5}, "region must be a string"),
        ({"function_name_template": 5}, "function_name_template must be a string"),
        ({"function_name_template": "a-{stage.x}"}, "may hold {stage} and no other braces"),
        ({"zip_file_name": 5}, "zip_file_name must be the path of a file"),
        ({"adopt": "yes"}, "adopt must be True or False"),
        ({"environment": {"A": 1}}, "environment['A'] must map a string to a string, not int."),
        ({"environment": {1: "a"}}, "environment[1] must map a string"),
        ({"environment": ["A"]}, 'environment must be a mapping, such as {"MODE": "fast"}, not list.'),
        ({"tags": {"a": 1}}, "tags['a'] must map a string"),
        ({"tags": "team=shop"}, 'tags must be a mapping, such as {"team": "shop"}, not \'team=shop\'.'),
        ({"alarms": Alarm("e", "Errors")}, "alarms must be a list"),
        ({"alarms": [{"name": "e"}]}, "has no metric"),
        ({"alarms": [{"name": "e", "metric": "Errors", "treshold": 1}]}, "the unknown key `treshold`"),
        ({"alarms": ["errors"]}, "'errors' must be an Alarm"),
        ({"alarms": [Alarm("e", "Errors", period="60")]}, "alarm `e`: period must be an integer, not '60'."),
        ({"alarms": [Alarm("e", "Errors", threshold="1")]}, "threshold must be a number, not '1'."),
        ({"alarms": [Alarm("e", 5)]}, "metric must be a string, not 5."),
        ({"alarms": [Alarm("e", "Errors", topic=5)]}, "topic must be the name or the ARN of a topic, not 5."),
        ({"alarms": [Alarm("e", "Errors", dimensions="x")]}, "dimensions must be a mapping of strings, not 'x'."),
        ({"permissions": "s3:GetObject"}, "permissions must be a list of IAM statements"),
        ({"permissions": ["s3:GetObject"]}, "permissions must be a list of IAM statements"),
        ({"permissions": [{"Action": "s3:GetObject", "Resource": "*"}]}, "statement 1 needs `Effect`"),
        ({"permissions": [{"Effect": "Allow", "Resource": "*"}]}, "statement 1 needs `Action`"),
        ({"permissions": [{"Effect": "Allow", "Action": {"s3:*"}, "Resource": "*"}]}, "cannot be written as JSON"),
        ({"canary": 0.1}, "canary takes `weight` and `minutes`"),
        ({"canary": {"weight": "a"}}, "canary takes `weight` and `minutes`"),
        ({"canary": {"share": 0.1}}, "canary takes `weight` and `minutes`"),
        ({"health_event": "ping"}, "health_event must be a mapping"),
        ({"include": "lib"}, "include must be a list of paths, such as [\"lib\"], not 'lib'."),
        ({"secret_environment": "TOKEN"}, "secret_environment must be a list of names"),
        ({"requirements_exclude": "*.so"}, "requirements_exclude must be a list of globs"),
        ({"s3_trigger": S3Trigger("My_Lake")}, "its trigger's bucket `My_Lake`: its name must be 3 to 63 lower-case"),
        ({"s3_trigger": S3Trigger("my-lake", events=("ObjectCreated",))}, "write it like s3:ObjectCreated:*."),
    ],
)
def test_a_value_of_the_wrong_kind(given: dict[str, Any], said: str) -> None:
    with pytest.raises(LimitError) as caught:
        Lambda_script("function.py", **given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"requirements": "pg8000"}, 'requirements must be a list, such as ["pg8000"], or the path'),
        ({"requirements": [1]}, "requirements must be a list"),
        ({"requirements": "nowhere/requirements.txt"}, "Cannot read the requirements nowhere/requirements.txt"),
        ({"lambda_function_path": 5}, "lambda_function_path must be the path of a file or a folder, not 5."),
        ({"extra_files": {"a": "text"}}, "A string becomes bytes by .encode()."),
    ],
)
def test_what_makes_no_package(given: dict[str, Any], said: str) -> None:
    with pytest.raises(PackageError) as caught:
        Lambda_script(**{"lambda_function_path": "function.py", **given})
    assert said in str(caught.value)


def test_all_wrong_arguments_are_reported_together() -> None:
    with pytest.raises(PlanError) as caught:
        Lambda_script("function.py", schedule="rate(1 minutes)", memory=5, timeout=100_000, requirements="pg8000")
    assert [type(problem) for problem in caught.value.problems] == [ScheduleError, PackageError, LimitError]
    assert "memory 5 is outside" in str(caught.value)
    assert "timeout 100000 is outside" in str(caught.value)
    with pytest.raises(PlanError) as caught:
        Lambda_script("function.py", memory="5", tags="a", schedule=5)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3
    with pytest.raises(PlanError) as caught:
        Lambda_script("function.py", function_name_template="{name}", memory=5)
    assert len(caught.value.problems) == 2


def test_a_value_of_the_environment_is_not_shown() -> None:
    with pytest.raises(LimitError) as caught:
        Lambda_script("function.py", environment={"PASSWORD": b"hunter22"})  # type: ignore[dict-item]
    assert "hunter22" not in str(caught.value)
    with pytest.raises(LimitError) as caught:
        Lambda_script("function.py", environment="PASSWORD=hunter22")  # type: ignore[arg-type]
    assert "hunter22" not in str(caught.value)


def test_alarm_may_be_a_mapping_and_requirements_a_path(tmp_path: Path) -> None:
    """An alarm may be a mapping and requirements the path of a file."""
    file = tmp_path / "requirements.txt"
    file.write_text("pg8000\n", encoding="utf-8")
    script = Lambda_script("function.py", alarms=[{"name": "e", "metric": "Errors"}], requirements=str(file))
    assert script.spec.alarms == (Alarm("e", "Errors"),)
    assert script.spec.requirements == ("pg8000",)


def test_one_function_is_no_list_of_them() -> None:
    with pytest.raises(ToolkitError, match=r"deploy_all\(\[one, two\]\)"):
        deploy_all(Lambda_script("one.py"))  # type: ignore[arg-type]


def test_functions_of_two_regions_are_not_deployed_together() -> None:
    with pytest.raises(ToolkitError, match="not in eu-west-1 and eu-west-2"):
        deploy_all([Lambda_script("one.py", region="eu-west-1"), Lambda_script("two.py", region="eu-west-2")])


def test_constructor_has_the_parameters_and_types_of_arguments():
    """mypy checks that each parameter is passed on; this, that none is declared in one place alone."""
    parameters = inspect.signature(Lambda_script.__init__).parameters
    declared = {name: parameter.annotation for name, parameter in parameters.items() if name not in ("self", "aws")}
    assert declared == {field.name: field.type for field in dataclasses.fields(Arguments)}


def test_setting_arrives_under_its_own_name_and_type():
    """Arguments of one value are copied to the field of their name; the others are read, and all are known here."""
    declared = {field.name: field.type for field in dataclasses.fields(Arguments)}
    fields = {field.name: field.type for field in dataclasses.fields(FunctionSpec)}
    assert {name for name, kind in declared.items() if fields.get(name) != kind} == {
        *("lambda_function_path", "zip_file_name", "function_name_template", "application", "stage", "region"),
        *("schedule", "timezone", "s3_trigger", "topic_trigger", "queue_trigger", "stream_trigger", "event_trigger"),
        *("url", "alarms", "vpc", "canary", "runtime", "requirements", "requirements_exclude", "provided_modules"),
        *("secret_environment", "layers", "include", "extra_files", "tags"),
    }
