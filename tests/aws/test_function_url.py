"""A function's URL: of the alias, with both permissions that AWS asks for, closed before anything else."""

from __future__ import annotations

import runpy

import pytest

from lambda_script import Cors, DeployError, FunctionUrl, LimitError, OwnershipError, TriggerError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.model import Deployment
from tests.support.moto_function_urls import may_call
from tests.support.repository import REPOSITORY

ACCOUNT = "123456789012"  # moto's
NAMED = {"FunctionName": "my-function", "Qualifier": "live"}
KEY = ("url", "my-function")
PUBLIC_NOTE = (
    "the url of my-function is public (auth NONE): everyone on the internet may call it, and each call is paid for"
)
ALL = FunctionUrl("AWS_IAM", Cors(("https://example.com",), ("GET", "POST"), ("X-Key",), ("Date",), True, 60))


def live(client) -> dict:
    return client("lambda").get_function_url_config(**NAMED)


def test_public_url_is_made_once_and_said_clearly(script, client, recorder) -> None:
    plan = script(url="NONE").plan()
    [planned] = [change for change in plan.changes if change.kind == "url"]
    assert planned.details == ("auth NONE: everyone on the internet may call it",)
    assert PUBLIC_NOTE in plan.notes
    report = script(url="NONE").deploy()
    [made] = [change for change in report.done if change.kind == "url"]
    assert made.details[-1] == live(client)["FunctionUrl"] == script().url(), "the deploy shows it, and the class"
    assert recorder.writes.index("CreateAlias") < recorder.writes.index("AddPermission")
    assert recorder.writes.count("AddPermission") == 2
    assert may_call(client, "my-function")
    recorder.clear()
    for same in ("NONE", {"auth": "NONE"}, FunctionUrl("NONE")):
        plan = script(url=same).plan()
        assert not plan
        assert plan.notes == (PUBLIC_NOTE,)
    assert recorder.calls.count("GetFunctionUrlConfig") == 3


def test_url_is_closed_to_the_public_first(script, client, recorder) -> None:
    script(url="NONE").deploy()
    address = live(client)["FunctionUrl"]
    recorder.clear()
    [change] = script(url="AWS_IAM").deploy().done
    assert (change.key, change.action) == (KEY, "update")
    assert "auth: NONE -> AWS_IAM" in [str(item) for item in change.differences]
    assert recorder.writes == ["UpdateFunctionUrlConfig", *["AddPermission"] * 2, *["RemovePermission"] * 2]
    assert not may_call(client, "my-function")
    assert may_call(client, "my-function", ACCOUNT)
    assert live(client)["FunctionUrl"] == address
    plan = script(url="AWS_IAM").plan()
    assert (plan.changes, plan.notes) == ((), ())
    recorder.clear()
    script(url="NONE").deploy()
    assert recorder.writes.index("AddPermission") < recorder.writes.index("UpdateFunctionUrlConfig")
    assert may_call(client, "my-function")
    assert not may_call(client, "my-function", ACCOUNT)


def test_url_changed_by_hand_is_restored(script, client) -> None:
    script(url=ALL).deploy()
    lambda_ = client("lambda")
    assert live(client)["Cors"]["AllowOrigins"] == ["https://example.com"]
    by_hand = {
        "auth": {"AuthType": "NONE"},
        "invoke_mode": {"InvokeMode": "RESPONSE_STREAM"},
        "cors.origins": {"Cors": {**live(client)["Cors"], "AllowOrigins": ["*"]}},
        "cors.max_age": {"Cors": {**live(client)["Cors"], "MaxAge": 0}},
    }
    for name, settings in by_hand.items():
        lambda_.update_function_url_config(**NAMED, **settings)
        [planned] = script(url=ALL).plan().changes
        assert [item.attribute for item in planned.differences] == [name]
        assert script(url=ALL).deploy().ok
        assert not script(url=ALL).plan()
    lambda_.remove_permission(**NAMED, StatementId="lambda-script-url-aws-iam-invoke")
    [planned] = script(url=ALL).plan().changes
    assert [str(item) for item in planned.differences] == [f"permission: none -> lambda:InvokeFunction for {ACCOUNT}"]
    assert script(url=ALL).deploy().ok
    lambda_.delete_function_url_config(**NAMED)
    [planned] = script(url=ALL).plan().changes
    assert (planned.key, planned.action) == (KEY, "create")
    assert script(url=ALL).deploy().ok
    [change] = script(url="AWS_IAM").deploy().done
    assert live(client)["Cors"] == {}, "what is not declared of it is removed"
    assert {item.attribute for item in change.differences} == {
        f"cors.{name}" for name in ("origins", "methods", "headers", "exposed_headers", "credentials", "max_age")
    }
    lambda_.update_function_url_config(**NAMED, Cors={"AllowHeaders": ["X-KEY"]})
    cors = {"headers": ["x-key"]}
    assert not script(url={"auth": "AWS_IAM", "cors": cors}).plan(), "HTTP knows no case of headers"


def test_url_is_removed_with_its_permissions(aws, script, client, recorder) -> None:
    script(url="NONE").deploy()
    assert not script().plan(), "without a declaration it stays"
    recorder.clear()
    [change] = script(url="").deploy().done
    assert (change.key, change.action) == (KEY, "delete")
    assert recorder.writes == ["DeleteFunctionUrlConfig", "RemovePermission", "RemovePermission"]
    assert script().url() == ""
    assert not may_call(client, "my-function")
    assert not script(url="").plan()

    assert script().destroy(delete_data=True).ok

    def shop(**declared) -> Deployment:
        return Deployment((script(**declared).spec,), application="shop", stage="dev")

    for auth in ("NONE", "AWS_IAM"):
        assert execute(aws, make_plan(aws, shop(url=auth))).ok
        recorder.clear()
        [change] = make_plan(aws, shop(), prune=True).changes
        assert (change.key, change.action) == (KEY, "delete")
        assert "GetFunctionUrlConfig" not in recorder.calls
        assert execute(aws, make_plan(aws, shop(), prune=True)).ok
        assert script().url() == ""
        assert not make_plan(aws, shop(), prune=True)


def test_url_of_others_is_adopted_or_refused(script, client, recorder) -> None:
    script().deploy()
    made = client("lambda").create_function_url_config(**NAMED, AuthType="NONE")["FunctionUrl"]
    recorder.clear()
    with pytest.raises(OwnershipError, match=f"has a URL already, {made}, which this toolkit did not create"):
        script(url="AWS_IAM").deploy()
    assert recorder.writes == []
    assert not script(url="").plan(), "it is not removed either"
    assert script(url="AWS_IAM", adopt=True).deploy().ok
    assert (live(client)["FunctionUrl"], live(client)["AuthType"]) == (made, "AWS_IAM")
    assert not script(url="AWS_IAM").plan()


def test_denied_permission_leaves_no_open_url(script, client, recorder) -> None:
    """The URL is made last; the same command makes it."""
    recorder.refuse("AddPermission", "AccessDeniedException", "not authorized", times=1)
    with pytest.raises(DeployError, match="lambda:AddPermission"):
        script(url="NONE").deploy()
    assert "CreateFunctionUrlConfig" not in recorder.calls
    assert script(url="NONE").deploy().ok
    assert may_call(client, "my-function")


def test_streaming_is_a_note(script) -> None:
    [note] = script(url={"auth": "AWS_IAM", "invoke_mode": "RESPONSE_STREAM"}).plan().notes
    assert note.startswith("the url of my-function has invoke_mode RESPONSE_STREAM: a handler of Lambda's own Python")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (True, "url takes"),
        ({"cors": {}}, "url takes"),
        ({"auth": "NONE", "cors": {"origin": "*"}}, "url takes"),
        ({"auth": "NONE", "cors": {"max_age": "5"}}, "`max_age` is '5', which is not an integer"),
        ({"auth": "NONE", "cors": {"origins": [1]}}, "`origins` is .* which is not a list of strings"),
        ("none", "its url's auth `none` is not AWS_IAM or NONE"),
        ({"auth": "NONE", "invoke_mode": "STREAM"}, "invoke_mode `STREAM` is not BUFFERED or RESPONSE_STREAM"),
        ({"auth": "NONE", "cors": {"max_age": 86_401}}, "max_age 86401 is outside 0 to 86400 seconds"),
        ({"auth": "NONE", "cors": {"methods": "OPTIONS"}}, "method `OPTIONS` is not one of"),
        ({"auth": "NONE", "cors": {"origins": "example.com"}}, "`example.com` is no origin"),
        ({"auth": "NONE", "cors": {"origins": "https://example.com/a"}}, "is no origin"),
        ({"auth": "NONE", "cors": {"headers": ["x" * 1025]}}, "has 1025 characters; the limit is 1024"),
    ],
)
def test_url_that_aws_would_reject_is_refused(script, recorder, url, message) -> None:
    with pytest.raises((TriggerError, LimitError), match=message):
        script(url=url).plan()
    assert recorder.writes == []


def test_example_is_deployed_with_queue_events_and_url(aws, client, monkeypatch, capsys) -> None:
    client("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "60"})
    monkeypatch.setattr("sys.argv", ["deploy.py", "orders"])
    monkeypatch.setattr("lambda_script.new_client", lambda region: aws)
    runpy.run_path(str(REPOSITORY / "examples/orders/deploy.py"))
    shown = capsys.readouterr().out
    assert "note: queue orders has no dead-letter queue" in shown
    assert shown.splitlines()[-1].startswith("https://")
    handler = runpy.run_path(str(REPOSITORY / "examples/orders/orders.py"))["lambda_handler"]
    good, bad = {"messageId": "1", "body": '{"number": 7}'}, {"messageId": "2", "body": "{"}
    assert handler({"Records": [good, bad]}, None) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert handler({"requestContext": {}}, None)["statusCode"] == 200
