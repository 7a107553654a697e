"""AWS in memory (moto) for one account, repaired where moto differs from AWS in what the toolkit relies on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from moto import mock_aws
from moto.events.models import EventsBackend
from moto.iam.access_control import PermissionResult
from moto.iam.models import IAMBackend
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from tests.support.moto_concurrency import behave_like_concurrency
from tests.support.moto_event_sources import behave_like_event_sources
from tests.support.moto_function_urls import behave_like_function_urls
from tests.support.moto_lambda import Invocations, behave_like_lambda, rules_with_tags
from tests.support.moto_scheduler import behave_like_scheduler

_SERVICES = (
    *("sqs", "sns", "events", "logs", "cloudwatch", "awslambda", "s3", "secretsmanager", "kinesis", "dynamodb"),
    "scheduler",
)
for _service in _SERVICES:
    import_module(f"moto.{_service}.models")  # circular imports: two threads that import them first deadlock


@contextmanager
def in_memory(patch: pytest.MonkeyPatch, folder: Path, invocations: Invocations) -> Iterator[None]:
    """An empty account in memory, with caches below ``folder``. ``patch`` must be undone afterwards by the caller."""
    set_up(patch, folder)
    # moto walks through its roles while another thread adds one, which Python refuses
    patch.setattr(IAMBackend, "get_roles", lambda self: list(self.roles.values()))
    patch.setattr(EventsBackend, "iter_tagged_resources", rules_with_tags)  # of EventBridge, moto lists the buses
    # moto takes a bucket policy's statement for unconditional: the one that demands TLS would forbid everything
    patch.setattr(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)
    patch.setattr(S3Response, "_bucket_response_put", _creating_with_tags(S3Response._bucket_response_put))
    behave_like_lambda(patch, invocations)
    behave_like_event_sources(patch)
    behave_like_function_urls(patch)
    behave_like_concurrency(patch)
    behave_like_scheduler(patch)
    with mock_aws():
        yield


def set_up(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Credentials of an emulator, caches below ``folder``, and nothing of the developer's own settings for AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    patch.setenv("LAMBDA_SCRIPT_CACHE", str(folder / "cache"))
    patch.chdir(folder)


def _creating_with_tags(put: Callable[..., Any]) -> Callable[..., Any]:
    """CreateBucket with the tags of its configuration, which moto ignores.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    """

    def respond(response: S3Response, request: Any, bucket_name: str, querystring: Any) -> Any:
        answer = put(response, request, bucket_name, querystring)
        if b"<CreateBucketConfiguration" in response.body:
            tags = ElementTree.fromstring(response.body).iterfind(".//{*}Tag")  # noqa: S314 - our own request
            labels = {tag.findtext("{*}Key", ""): tag.findtext("{*}Value", "") for tag in tags}
            if labels:
                response.backend.put_bucket_tagging(bucket_name, labels)
        return answer

    return respond
