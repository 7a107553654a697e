"""A deployed pipeline whose functions answer with values that a test gives, and a clock that moves in ``sleep``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lambda_toolkit.pipeline.client.observing.follow import Follower, Waiting
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key

INSTANT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class FakeAws:
    """Answers the few calls that following makes, from plain values."""

    answers: dict[str, list[Any]] = field(default_factory=dict)  # by function: what its invocations return, in turn
    manifests: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: {"ingestion": {}, "processed": {}})
    log: list[str] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)  # the answers of CloudWatch
    failed: list[dict[str, Any]] = field(default_factory=list)  # objects of the bucket of failed events
    deployed: bool = True
    requests: list[str] = field(default_factory=list)  # the operations that were called, in order
    account_id: str = "123456789012"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:eu-west-2:{self.account_id}:{resource}"

    def find(self, service: str, operation: str, **parameters: Any) -> dict[str, Any] | None:
        self.requests.append(operation)
        if operation == "get_function_configuration":
            known = {"Version": "7", "Runtime": "python3.13", "LastModified": "2026-01-02T03:04:05.000+0000"}
            return known if self.deployed and parameters["Qualifier"] == "live" else None
        if operation == "get_object" and "processed" in parameters["Bucket"]:
            manifest = self.manifests["processed"].get(int(parameters["Key"][-17:-5]))
            return None if manifest is None else {"Body": io.BytesIO(json.dumps(manifest).encode())}
        if operation == "get_object":
            record = {"responsePayload": {"errorType": "SourceError", "errorMessage": "no answer."}}
            return {"Body": io.BytesIO(json.dumps(record).encode())}
        if not self.deployed:
            return None
        if operation == "get_topic_attributes":
            return {"Attributes": {}}
        function = parameters["FunctionName"].rsplit("-", 1)[1]
        waiting = self.answers[function]
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, Exception):
            raise answer
        failed = {"FunctionError": "Unhandled"} if "errorMessage" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}

    def list_all(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
        self.requests.append(operation)
        if operation == "filter_log_events":
            return [{"timestamp": 1, "message": line} for line in self.log]
        if operation == "describe_alarms":
            return self.alarms
        if operation == "get_metric_data":
            return self.starts
        if operation == "list_subscriptions_by_topic":
            return self.subscriptions
        raise AssertionError(operation)

    def list_existing(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
        return self.failed

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        self.requests.append(operation)
        if operation == "list_objects_v2":
            bucket = "ingestion" if "ingestion" in parameters["Bucket"] else "processed"
            keys = sorted(map(manifest_key, self.manifests[bucket]))
            return {
                "Contents": [
                    {"Key": key, "LastModified": INSTANT} for key in keys if key > parameters.get("StartAfter", "")
                ]
            }
        raise AssertionError(operation)


def follower(aws: FakeAws, on_sleep: Callable[[], object] = lambda: None) -> Follower:
    """A follower whose clock moves only when it sleeps; ``on_sleep`` is called each time."""
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        on_sleep()

    waiting = Waiting(clock=lambda: clock[0], sleep=sleep, now=lambda: 0.0)
    return Follower(aws, load(DEFAULT_PATH), lambda line: None, waiting)  # type: ignore[arg-type]
