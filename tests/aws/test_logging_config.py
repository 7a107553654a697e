"""log_format, log_level, system_log_level, log_group: only what is declared changes; a log group of others is read."""

from __future__ import annotations

import json

import pytest

from lambda_script import DeployError, LimitError

OWN = "/aws/lambda/my-function"
OTHERS = "/shop/dev"
JSON = {"log_format": "JSON", "log_level": "WARN", "system_log_level": "WARN"}
SENT = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "WARN"}


def logging(client, qualifier: str = "live") -> dict[str, str]:
    return client("lambda").get_function_configuration(FunctionName="my-function", Qualifier=qualifier)["LoggingConfig"]


def groups(client) -> list[str]:
    return [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]]


def test_log_settings_are_sent_once_and_kept(script, client, recorder) -> None:
    """At creation, by an update, as drift from what is declared; and released each time."""
    script(**JSON).deploy()
    assert logging(client) == {**SENT, "LogGroup": OWN}
    recorder.clear()
    assert not script(**JSON).plan()
    assert script(**JSON).deploy().done == ()
    assert recorder.writes == []
    client("lambda").update_function_configuration(FunctionName="my-function", LoggingConfig={"LogFormat": "Text"})
    [change, *_] = script(**JSON).plan().changes
    assert list(map(str, change.differences)) == [
        "LoggingConfig.LogFormat: Text -> JSON",
        "LoggingConfig.ApplicationLogLevel: INFO -> WARN",
        "LoggingConfig.SystemLogLevel: INFO -> WARN",
    ]
    script(**JSON).deploy()
    assert logging(client) == {**SENT, "LogGroup": OWN}
    emptied = dict.fromkeys(JSON, "")
    script(**emptied).deploy()
    assert logging(client) == {"LogFormat": "Text", "LogGroup": OWN}
    assert not script(**emptied).plan()


def test_only_declared_log_settings_are_managed(script, client) -> None:
    client("logs").create_log_group(logGroupName=OTHERS)
    script().deploy()
    theirs = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "DEBUG", "LogGroup": OTHERS}
    client("lambda").update_function_configuration(FunctionName="my-function", LoggingConfig=theirs)
    script().deploy()
    assert logging(client) == theirs, "released as it is"
    script(log_format="JSON", log_level="TRACE").deploy()
    assert logging(client) == {**theirs, "ApplicationLogLevel": "TRACE"}
    assert not script(log_format="JSON", log_level="TRACE").plan()


def test_text_takes_no_levels(script, client) -> None:
    script(**JSON).deploy()
    script(log_format="Text").deploy()
    assert logging(client) == {"LogFormat": "Text", "LogGroup": OWN}


def test_log_group_of_others_is_only_read(script, client, recorder) -> None:
    """It must exist. The function's own is not made, the role may write to the declared one, destroy leaves it."""
    with pytest.raises(LimitError, match=f"my-function: the log group {OTHERS} does not exist .* Create it"):
        script(log_group=OTHERS).deploy()
    client("logs").create_log_group(logGroupName=OTHERS, tags={"team": "shop"})
    recorder.clear()
    script(log_group=OTHERS).deploy()
    assert logging(client)["LogGroup"] == OTHERS
    assert groups(client) == [OTHERS]
    policy = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"]
    assert f"log-group:{OTHERS}:*" in json.dumps(policy)
    assert OWN not in json.dumps(policy)
    assert not script(log_group=OTHERS).plan()
    assert not [call for call in recorder.calls if call.startswith(("PutRetention", "TagLog", "CreateLogGroup"))]
    script(log_group="").deploy()
    assert (logging(client)["LogGroup"], groups(client)) == (OWN, [OWN, OTHERS])
    script(log_group=OTHERS).destroy(delete_data=True)
    assert groups(client) == [OTHERS]
    assert client("logs").list_tags_log_group(logGroupName=OTHERS)["tags"] == {"team": "shop"}


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"log_format": "json"}, "log_format `json` is not one of Text and JSON"),
        ({"log_format": "JSON", "log_level": "WARNING"}, "log_level `WARNING` is not one of TRACE, DEBUG, INFO"),
        ({"log_format": "JSON", "system_log_level": "ERROR"}, "system_log_level `ERROR` is not one of DEBUG, INFO"),
        ({"log_level": "WARN"}, 'log_level `WARN` needs log_format "JSON"'),
        ({"log_format": "Text", "system_log_level": "WARN"}, 'needs log_format "JSON"'),
        ({"log_group": "my group"}, "log_group `my group` is no name of a log group"),
        ({"log_group": "x" * 513}, "is no name of a log group"),
        ({"log_format": 1}, "log_format must be Text or JSON, not 1"),
    ],
)
def test_log_settings_that_lambda_refuses_are_found_first(script, recorder, declared, problem) -> None:
    with pytest.raises(LimitError, match=problem):
        script(**declared)
    assert recorder.calls == []


@pytest.mark.parametrize("operation", ["UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"])
def test_each_fault_of_log_settings_is_repaired(script, client, recorder, operation) -> None:
    """A call that is denied: what is live stays, and the same command finishes."""
    script().deploy()
    recorder.refuse(operation, "AccessDeniedException", times=1)
    with pytest.raises(DeployError, match="AccessDenied"):
        script(**JSON).deploy()
    assert logging(client)["LogFormat"] == "Text"
    script(**JSON).deploy()
    assert logging(client) == {**SENT, "LogGroup": OWN}
    assert not script(**JSON).plan()
