"""What one writes without a tool: boto3, one call after the other, with boto3's own waiters.

Run as a program it deploys the project in its working directory, which ``project.json`` describes.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_LOGGING = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def main() -> None:
    """Create what is not there, update what is."""
    import boto3

    project = json.loads(Path("project.json").read_text(encoding="utf-8"))
    iam, functions, events = (boto3.client(name) for name in ("iam", "lambda", "events"))
    role = _role(iam)
    for name in project["functions"]:
        arn = _function(functions, name, role, project)
        rule = events.put_rule(Name=f"{name}-schedule", ScheduleExpression=project["schedule"])["RuleArn"]
        with contextlib.suppress(functions.exceptions.ResourceConflictException):  # it is there
            functions.add_permission(
                FunctionName=name,
                StatementId="schedule",
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=rule,
            )
        events.put_targets(Rule=f"{name}-schedule", Targets=[{"Id": "function", "Arn": arn}])


def _role(iam: Any) -> str:
    try:
        return str(iam.get_role(RoleName="bench-role")["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        arn = iam.create_role(RoleName="bench-role", AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
        iam.get_waiter("role_exists").wait(RoleName="bench-role")
        iam.attach_role_policy(RoleName="bench-role", PolicyArn=_LOGGING)
        return str(arn)


def _function(client: Any, name: str, role: str, project: dict[str, Any]) -> str:
    code = _zipped(Path("functions", name))
    settings = {
        "FunctionName": name,
        "Role": role,
        "Handler": "handler.lambda_handler",
        "Runtime": project["runtime"],
        "MemorySize": project["memory"],
        "Timeout": project["timeout"],
    }
    try:
        client.get_function(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        arn = _created(client, code, settings)
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        return arn
    client.update_function_code(FunctionName=name, ZipFile=code)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    arn = client.update_function_configuration(**settings)["FunctionArn"]
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    return str(arn)


def _created(client: Any, code: bytes, settings: dict[str, Any]) -> str:
    """The new function; a role that was made a moment ago takes AWS some seconds to know."""
    for _ in range(10):
        try:
            return str(client.create_function(Code={"ZipFile": code}, **settings)["FunctionArn"])
        except client.exceptions.InvalidParameterValueException as error:
            if "cannot be assumed" not in str(error):
                raise
            time.sleep(5)
    raise SystemExit("The role is still not known to Lambda.")


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.py")):
            archive.write(file, file.relative_to(folder))
    return buffer.getvalue()


if __name__ == "__main__":
    main()
