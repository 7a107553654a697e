"""The wheel, installed in an empty environment, deploys the examples to the local stack, and they do their work."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lambda_toolkit.packaging.uv import find_uv, uv_environment
from lambda_toolkit.pipeline.local_stack.description import environment
from tests.support.account import eventually
from tests.support.command_line import CommandLine
from tests.support.repository import REPOSITORY

IN_THE_WHEEL = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "lambda_script.py", "lambda_toolkit")


def _uv(*arguments: str, cwd: Path) -> None:
    """Runs uv from its cache alone; skips the test where that does not hold what is needed."""
    done = subprocess.run(
        [str(find_uv()), *arguments, "--offline", "--quiet"],
        cwd=cwd,
        env=uv_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode and re.search("offline|network", done.stderr, re.IGNORECASE):
        pytest.skip(f"uv's cache does not hold what is needed: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in IN_THE_WHEEL:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    _uv("build", "--wheel", "--out-dir", "dist", cwd=folder)
    [built] = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """The Python of an environment that holds the wheel and what it needs."""
    _uv("venv", "--python", sys.executable, "empty", cwd=wheel.parent)
    python = wheel.parent / "empty" / "bin" / "python"
    _uv("pip", "install", "--python", str(python), str(wheel), cwd=wheel.parent)
    return python


@pytest.fixture
def deploy(python: Path, cli: CommandLine, tmp_path: Path) -> Callable[..., list[str]]:
    """Runs an example's deploy.py; returns what it says was done."""
    names = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}

    def run(example: str, *arguments: str) -> list[str]:
        done = subprocess.run(
            [str(python), str(REPOSITORY / "examples" / example / "deploy.py"), *arguments],
            cwd=tmp_path,
            env={**names, **environment(cli.stack)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_wheel_holds_the_toolkit_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"lambda_script.py", "lambda_script-stubs", "lambda_toolkit", "lambda_script-0.1.0.dist-info"}
    assert "lambda_toolkit/py.typed" in names
    assert "lambda_script-stubs/__init__.pyi" in names


def test_its_types_are_seen_by_those_who_use_it(python: Path, tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text(
        "from lambda_script import Lambda_script, Report\n"
        "report: Report = Lambda_script('f.py', schedule='0 0 * * *').deploy()\n"
        "Lambda_script('f.py', timeout='long')\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[:-1] == [
        'user.py:3: error: Argument "timeout" to "Lambda_script" has incompatible type "str"; expected "int"  '
        "[arg-type]"
    ]


def test_hello(deploy, aws, cli: CommandLine) -> None:
    assert "create function dev-hello" in deploy("hello")
    assert deploy("hello") == []
    answer = aws(cli, "lambda").invoke(FunctionName="dev-hello:live", Payload=json.dumps({"name": "Ada"}))
    assert json.load(answer["Payload"]) == {"message": "Hello, Ada!"}


@pytest.fixture
def bucket(aws, cli: CommandLine) -> Iterator[str]:
    s3 = aws(cli, "s3")
    s3.create_bucket(Bucket="my-notes", CreateBucketConfiguration={"LocationConstraint": cli.stack.region})
    yield "my-notes"
    for item in s3.list_objects_v2(Bucket="my-notes").get("Contents", ()):
        s3.delete_object(Bucket="my-notes", Key=item["Key"])
    s3.delete_bucket(Bucket="my-notes")


def test_notes(deploy, aws, cli: CommandLine, bucket: str) -> None:
    done = deploy("notes", bucket)
    assert {"function", "layer", "role", "alarm"} <= {line.split()[1] for line in done}
    s3 = aws(cli, "s3")
    s3.put_object(Bucket=bucket, Key="notes/a day.md", Body=b"# Monday\n")
    assert _awaited(s3, bucket, "pages/a day.html") == b"<h1>Monday</h1>\n"


def test_reminders(deploy, aws, cli: CommandLine) -> None:
    """A message comes back as often as it says, and what cannot be read arrives in the queue with its error."""
    sns, sqs = aws(cli, "sns"), aws(cli, "sqs")
    topic = sns.create_topic(Name="invoices")["TopicArn"]
    queue = sqs.create_queue(QueueName="failed-reminders")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    done = deploy("reminders", topic, arn)
    assert {f"{word} dev-reminders" for word in ("update concurrency", "update recursion")} <= set(done)
    assert "recursion dev-reminders: it may start itself without end, and each run is paid for" in done
    assert deploy("reminders", topic, arn) == []

    def send(text: str, kind: str) -> None:
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=text, MessageAttributes=attributes)

    send('{"invoice": 8, "reminders": 1}', "order")  # the filter holds it back
    send('{"invoice": 7, "reminders": 3}', "invoice")
    send("no JSON", "invoice")
    [failed] = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    assert "Expecting value" in json.loads(failed["Body"])["responsePayload"]["errorMessage"]
    assert eventually(lambda: _logged(aws, cli, "dev-reminders", "invoice 7: 0 reminders left"))
    assert len(_logged(aws, cli, "dev-reminders", "reminders left")) == 3
    found = aws(cli, "logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/dev-reminders")["logGroups"]
    assert [group["retentionInDays"] for group in found] == [7]


def test_orders(deploy, aws, cli: CommandLine) -> None:
    """A message of the queue, an event of the bus and a signed request of the URL are each answered once."""
    sqs, events = aws(cli, "sqs"), aws(cli, "events")
    queue = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    url = deploy("orders", "orders")[-1]
    assert [line for line in deploy("orders", "orders") if not line.startswith("note: ")] == [url]
    sqs.send_message(QueueUrl=queue, MessageBody='{"number": 7}')
    for kind in ("order placed", "order read"):
        detail = json.dumps({"number": 8 if kind == "order placed" else 9})
        events.put_events(Entries=[{"Source": "shop", "DetailType": kind, "Detail": detail}])
    for number in (7, 8):
        assert eventually(lambda number=number: _logged(aws, cli, "dev-orders", f"order {number}"), 60)
    assert not _logged(aws, cli, "dev-orders", "order 9")
    assert _requested(cli, url, signed=True) == (200, '{"open": true}')
    assert _requested(cli, url, signed=False)[0] == 403


def _requested(cli: CommandLine, url: str, *, signed: bool) -> tuple[int, str]:
    """Status and body of a request of a function's URL: the emulated AWS has it below a path of its own."""
    stack, label = cli.stack, str(urlsplit(url).hostname).partition(".")[0]
    request = AWSRequest("GET", f"{stack.aws_endpoint_url}/_aws/lambda-url/{label}/")
    if signed:
        keys = Credentials(stack.access_key_id, stack.secret_access_key)
        SigV4Auth(keys, "lambda", stack.region).add_auth(request)
    connection = HTTPConnection(urlsplit(stack.aws_endpoint_url).netloc, timeout=30)
    connection.request("GET", urlsplit(request.url).path, headers=dict(request.headers))
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_prices(deploy, aws, cli: CommandLine) -> None:
    """The module of the layer is there, and the environments of the live version are ready."""
    functions = aws(cli, "lambda")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("python/tariff.py", "PRICES = {'tea': 3}\n")
    layer = functions.publish_layer_version(LayerName="tariff", Content={"ZipFile": content.getvalue()})
    assert "create provisioned concurrency dev-prices" in deploy("prices", layer["LayerVersionArn"])
    assert deploy("prices", layer["LayerVersionArn"]) == []
    answer = functions.invoke(FunctionName="dev-prices:live", Payload=b'{"item": "tea"}')
    assert json.load(answer["Payload"]) == {"item": "tea", "price": 3}
    ready = functions.get_provisioned_concurrency_config(FunctionName="dev-prices", Qualifier="live")
    assert (ready["Status"], ready["RequestedProvisionedConcurrentExecutions"]) == ("READY", 2)


def _logged(aws: Callable[..., Any], cli: CommandLine, function: str, text: str) -> list[str]:
    """The lines of a function's log that hold ``text``."""
    found = aws(cli, "logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    return [event["message"] for event in found if text in event["message"]]


def _awaited(s3: Any, bucket: str, key: str) -> bytes:
    for _ in range(150):
        if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"):
            return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        time.sleep(0.2)
    raise AssertionError(f"no {key} after 30 s")
