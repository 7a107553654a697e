"""AWS SAM: a template, built and deployed through CloudFormation; ``sync --code`` goes to Lambda directly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import boto3

from benchmarks.peers.peer import RUNTIME, Command, Project, PythonPeer, Site

_BUCKET = "bench-sam-artifacts"


class Sam(PythonPeer):
    """The bucket for its artifacts is made beforehand, as ``sam deploy --guided`` does once."""

    name = "SAM, build and deploy"
    quick_name = "SAM, sync --code"
    answers = "y\n"  # yes, it is a development stack
    requirements = ("aws-sam-cli==1.170.0", "setuptools<81")

    @property
    def variables(self) -> Mapping[str, str]:
        """No telemetry, and no look for newer versions."""
        return {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_CHECK_VERSION": "0"}

    def write(self, site: Site, project: Project) -> None:
        """The handlers and the template."""
        project.write_handlers(site.directory)
        resources = {_logical(name): _function(project, name) for name in project.functions}
        template = {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Transform": "AWS::Serverless-2016-10-31",
            "Resources": resources,
        }
        (site.directory / "template.json").write_text(json.dumps(template, indent=1), encoding="utf-8")

    def prepare(self, site: Site, project: Project) -> Sequence[Command]:
        """Its bucket."""
        client = boto3.client(
            "s3",
            endpoint_url=site.environment["AWS_ENDPOINT_URL"],
            region_name=site.environment["AWS_REGION"],
            aws_access_key_id=site.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=site.environment["AWS_SECRET_ACCESS_KEY"],
        )
        place = {"LocationConstraint": site.environment["AWS_REGION"]}
        client.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration=place)
        return ()

    def first(self, project: Project) -> Sequence[Command]:
        """Build, then deploy."""
        deploy = ["sam", "deploy", "--stack-name", "bench", "--s3-bucket", _BUCKET, "--capabilities", "CAPABILITY_IAM"]
        return [
            ["sam", "build", "--template", "template.json"],
            [*deploy, "--no-confirm-changeset", "--no-fail-on-empty-changeset"],
        ]

    def quick(self, project: Project, function: str) -> Sequence[Command]:
        """The code of one function, past CloudFormation."""
        sync = ["sam", "sync", "--code", "--template", "template.json", "--stack-name", "bench"]
        return [[*sync, "--resource-id", _logical(function), "--s3-bucket", _BUCKET]]


def _logical(name: str) -> str:
    return name.replace("_", "").capitalize()


def _function(project: Project, name: str) -> dict[str, object]:
    return {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "FunctionName": name,
            "CodeUri": f"functions/{name}",
            "Handler": "handler.lambda_handler",
            "Runtime": RUNTIME,
            "MemorySize": project.memory,
            "Timeout": project.timeout,
            "Events": {"Schedule": {"Type": "Schedule", "Properties": {"Schedule": project.schedule}}},
        },
    }
