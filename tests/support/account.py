"""The emulated account, and a way to put small functions on it with nothing but boto3."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import boto3

from lambda_toolkit.pipeline.local_stack.description import Stack

SCHEMA = Path(__file__).parents[2] / "config" / "totesys.sql"


def eventually(condition: Callable[[], Any], within: float = 20.0) -> Any:
    """What ``condition`` returns as soon as it is true; fails when it is not within so many seconds."""
    deadline = monotonic() + within
    while not (found := condition()):
        assert monotonic() < deadline, "it did not happen before the deadline"
        sleep(0.1)
    return found


@dataclass(frozen=True)
class Account:
    """The emulated account, as its administrator sees it."""

    stack: Stack

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.stack.aws_endpoint_url,
            region_name=self.stack.region,
            aws_access_key_id=self.stack.access_key_id,
            aws_secret_access_key=self.stack.secret_access_key,
        )

    def function(self, name: str, source: str, allowed: Sequence[Mapping[str, Any]] = ()) -> str:
        """Make a function of one file with a role that may do what ``allowed`` says. Returns its ARN."""
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("handler.py", source)
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam = self.client("iam")
        role = iam.create_role(
            RoleName=f"{name}-role",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]
        logs = {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:aws:logs:{self.stack.region}:{self.stack.account_id}:log-group:/aws/lambda/{name}:*",
        }
        iam.put_role_policy(
            RoleName=f"{name}-role",
            PolicyName="permissions",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [logs, *allowed]}),
        )
        made = self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=role["Arn"],
            Handler="handler.handle",
            Code={"ZipFile": package.getvalue()},
            Timeout=30,
        )
        return str(made["FunctionArn"])

    def invoke(self, name: str, event: object = None) -> tuple[str | None, Any]:
        """The function's error kind (None: it did well) and its result."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        return answer.get("FunctionError"), json.loads(answer["Payload"].read())
