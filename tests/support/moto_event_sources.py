"""moto's event source mappings, replaced by a fake with state that does what AWS documents.

A mapping is of the alias that it names, has tags, and passes through states: it is created, updated and deleted only
after some reads, and meanwhile refuses to be changed. Lambda checks what it can: that the source exists, that the
function's role may poll it, that a queue's visibility timeout is not shorter than the function's, that there is no
mapping of the same source and function, and the settings that exclude each other.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, with-ddb.html, with-kinesis.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend
from moto.awslambda.responses import LambdaResponse
from moto.core.resource_tagging import TaggedResource
from moto.dynamodb.models import dynamodb_backends
from moto.iam.models import iam_backends
from moto.kinesis.models import kinesis_backends
from moto.sqs.models import sqs_backends

Mapping = dict[str, Any]
READS = 2
"""How many reads show a mapping in the state that leads to the one that was asked for."""
_DEFAULT_BATCH = {"sqs": 10, "kinesis": 100, "dynamodb": 100}
_OF_STREAMS = {
    "ParallelizationFactor": 1,
    "BisectBatchOnFunctionError": False,
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
}
_POLLING = {
    "sqs": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    "kinesis": ("kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:DescribeStream", "kinesis:ListStreams"),
    "dynamodb": ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"),
}
_SENDING = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "s3": "s3:PutObject"}


def behave_like_event_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the five calls of mappings, and those of their tags."""
    list_tags, tag, untag = LambdaBackend.list_tags, LambdaBackend.tag_resource, LambdaBackend.untag_resource
    tagged = LambdaBackend.iter_tagged_resources

    def tags_of(backend: LambdaBackend, arn: str) -> dict[str, str] | None:
        """The tags of a mapping; ``None`` for the ARN of something else."""
        if ":event-source-mapping:" not in arn:
            return None
        found: dict[str, str] = _found(backend, arn.rpartition(":")[2])["tags"]
        return found

    def list_of(backend: LambdaBackend, resource_arn: str) -> dict[str, str]:
        found = tags_of(backend, resource_arn)
        return list_tags(backend, resource_arn) if found is None else found

    def set_on(backend: LambdaBackend, resource_arn: str, tags: dict[str, str]) -> None:
        found = tags_of(backend, resource_arn)
        if found is None:
            tag(backend, resource_arn, tags)
        else:
            found.update(tags)

    def remove_from(backend: LambdaBackend, resource_arn: str, tag_keys: list[str]) -> None:
        found = tags_of(backend, resource_arn)
        if found is None:
            untag(backend, resource_arn, tag_keys)
        for key in tag_keys:
            (found or {}).pop(key, None)

    def every_tagged(backend: LambdaBackend) -> Iterator[TaggedResource]:
        yield from tagged(backend)
        for item in list(_stored(backend).values()):
            yield TaggedResource(
                item["shown"]["EventSourceMappingArn"], dict(item["tags"]), "lambda:event-source-mapping"
            )

    monkeypatch.setattr(LambdaBackend, "list_tags", list_of)
    monkeypatch.setattr(LambdaBackend, "tag_resource", set_on)
    monkeypatch.setattr(LambdaBackend, "untag_resource", remove_from)
    monkeypatch.setattr(LambdaBackend, "iter_tagged_resources", every_tagged)
    for name, answer in (
        ("create_event_source_mapping", _create),
        ("update_event_source_mapping", _update),
        ("delete_event_source_mapping", _delete),
        ("get_event_source_mapping", _get),
        ("list_event_source_mappings", _list),
    ):
        monkeypatch.setattr(LambdaResponse, name, _answering(answer))


def _answering(answer: Callable[[LambdaResponse], tuple[int, Any]]) -> Callable[[LambdaResponse], Any]:
    def respond(response: LambdaResponse) -> Any:
        status, body = answer(response)
        return status, {"status": status}, json.dumps(body)

    return respond


def _stored(backend: LambdaBackend) -> dict[str, Mapping]:
    found: dict[str, Mapping] = vars(backend).setdefault("_mappings", {})
    return found


def _found(backend: LambdaBackend, identity: str) -> Mapping:
    try:
        return _stored(backend)[identity]
    except KeyError:
        raise LambdaClientError("ResourceNotFoundException", "The resource you requested does not exist.") from None


def _seen(backend: LambdaBackend, item: Mapping) -> Mapping | None:
    """What a read shows; ``None`` once it is deleted. Each read brings it closer to the state that it will have."""
    item["reads"] -= 1
    if item["reads"] >= 0:
        return dict(item["shown"])
    if item["shown"]["State"] == "Deleting":
        _stored(backend).pop(item["shown"]["UUID"], None)
        return None
    item["shown"]["State"] = item["state"]
    return dict(item["shown"])


def _create(response: LambdaResponse) -> tuple[int, Any]:
    backend, wanted = response.backend, response.json_body
    function = _function_arn(backend, wanted["FunctionName"])
    source, service = wanted["EventSourceArn"], wanted["EventSourceArn"].split(":")[2]
    for item in _stored(backend).values():
        if (item["shown"]["EventSourceArn"], item["shown"]["FunctionArn"]) == (source, function):
            raise LambdaClientError(
                "ResourceConflictException",
                f'An event source mapping with SQS arn (" {source} ") and function (" {function.split(":")[6]} ") '
                f"already exists. Please update or delete the existing mapping with UUID {item['shown']['UUID']}",
            )
    _check(backend, service, source, function, wanted)
    if service != "sqs" and "StartingPosition" not in wanted:
        raise LambdaClientError("InvalidParameterValueException", "StartingPosition is required")
    identity = str(uuid.uuid4())
    shown = {
        "UUID": identity,
        "EventSourceMappingArn": f"{':'.join(function.split(':')[:5])}:event-source-mapping:{identity}",
        "EventSourceArn": source,
        "FunctionArn": function,
        "BatchSize": _DEFAULT_BATCH[service],
        "MaximumBatchingWindowInSeconds": 0,
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "LastProcessingResult": "No records processed",
        **({} if service == "sqs" else _OF_STREAMS),
        **{name: value for name, value in wanted.items() if name not in ("FunctionName", "Enabled", "Tags")},
    }
    state = "Enabled" if wanted.get("Enabled", True) else "Disabled"
    _stored(backend)[identity] = {
        "shown": shown,
        "state": state,
        "reads": READS,
        "tags": dict(wanted.get("Tags") or {}),
    }
    return 202, shown


def _update(response: LambdaResponse) -> tuple[int, Any]:
    backend, wanted = response.backend, dict(response.json_body)
    item = _found(backend, response.path.rsplit("/", 1)[-1])
    _refuse_while_busy(item)
    shown = item["shown"]
    function = _function_arn(backend, wanted.pop("FunctionName", shown["FunctionArn"]))
    source = shown["EventSourceArn"]
    _check(backend, source.split(":")[2], source, function, {**shown, **wanted})
    enabled = wanted.pop("Enabled", None)
    if enabled is not None:
        item["state"] = "Enabled" if enabled else "Disabled"
    shown.update({**wanted, "FunctionArn": function, "State": "Updating"})
    item["reads"] = READS
    return 202, shown


def _delete(response: LambdaResponse) -> tuple[int, Any]:
    item = _found(response.backend, response.path.rsplit("/", 1)[-1])
    _refuse_while_busy(item)
    item["shown"]["State"], item["reads"] = "Deleting", READS
    return 202, item["shown"]


def _get(response: LambdaResponse) -> tuple[int, Any]:
    identity = response.path.rsplit("/", 1)[-1]
    seen = _seen(response.backend, _found(response.backend, identity))
    if seen is None:
        _found(response.backend, identity)
    return 200, seen


def _list(response: LambdaResponse) -> tuple[int, Any]:
    source, name = (response.querystring.get(key, [None])[0] for key in ("EventSourceArn", "FunctionName"))
    seen = [_seen(response.backend, item) for item in list(_stored(response.backend).values())]
    found = [
        item
        for item in seen
        if item
        and source in (None, item["EventSourceArn"])
        and name in (None, item["FunctionArn"], item["FunctionArn"].partition(":function:")[2])
    ]
    return 200, {"EventSourceMappings": found}


def _refuse_while_busy(item: Mapping) -> None:
    """As long as it is being created, updated or deleted; the attempt counts as a read, as time passes."""
    if item["shown"]["State"] not in ("Enabled", "Disabled") and item["reads"] > 0:
        item["reads"] -= 1
        message = f"Cannot update the event source mapping because it is in use ({item['shown']['State']})."
        raise LambdaClientError("ResourceInUseException", message)


def _function_arn(backend: LambdaBackend, name: str) -> str:
    """The ARN of the function, version or alias that is named."""
    parts = name.split(":")
    function, qualifier = (parts[6], parts[7:]) if name.startswith("arn:") else (parts[0], parts[1:])
    found = backend.get_function(function)
    if qualifier and qualifier[0].isalpha():
        backend.get_alias(qualifier[0], function)
    arn: str = found.function_arn
    return ":".join([":".join(arn.split(":")[:7]), *qualifier])


def _check(backend: LambdaBackend, service: str, source: str, function: str, wanted: Mapping) -> None:
    region, account = backend.region_name, backend.account_id
    live = backend.get_function(function.split(":")[6])
    if not _exists(service, source, account, region):
        raise LambdaClientError("InvalidParameterValueException", f"Error occurred: {source} does not exist.")
    role = live.role.rpartition("/")[2]
    lacking = [action for action in _POLLING[service] if not _is_allowed(account, role, action, source)]
    if lacking and service == "sqs":
        name = lacking[0].partition(":")[2]
        message = f"The provided execution role does not have permissions to call {name} on SQS"
        raise LambdaClientError("InvalidParameterValueException", message)
    if lacking:
        message = (
            f"Cannot access stream {source}. Please ensure the role can perform the GetRecords, GetShardIterator, "
            "DescribeStream, and ListStreams Actions on your stream in IAM."
        )
        raise LambdaClientError("InvalidParameterValueException", message)
    batch, window = wanted.get("BatchSize") or 0, wanted.get("MaximumBatchingWindowInSeconds")
    if service == "sqs":
        queue: Any = next(item for item in sqs_backends[account][region].queues.values() if item.queue_arn == source)
        if queue.visibility_timeout < live.timeout:
            message = (
                f"Queue visibility timeout: {queue.visibility_timeout} seconds is less than Function timeout: "
                f"{live.timeout} seconds"
            )
            raise LambdaClientError("InvalidParameterValueException", message)
        if source.endswith(".fifo") and (batch > 10 or window):
            raise LambdaClientError(
                "InvalidParameterValueException", "Batching window is not supported for FIFO queues"
            )
        if batch > 10 and not window:
            message = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            raise LambdaClientError("InvalidParameterValueException", message)
    failed = ((wanted.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if failed and not _is_allowed(account, role, _SENDING[failed.split(":")[2]], failed):
        message = f"The provided execution role does not have permissions to call {_SENDING[failed.split(':')[2]]}"
        raise LambdaClientError("InvalidParameterValueException", message)


def _exists(service: str, source: str, account: str, region: str) -> bool:
    if service == "sqs":
        return any(item.queue_arn == source for item in sqs_backends[account][region].queues.values())
    if service == "kinesis":
        return source.partition("/consumer/")[0].rpartition("/")[2] in kinesis_backends[account][region].streams
    tables = dynamodb_backends[account][region].tables
    return any(item.latest_stream_label and source.startswith(item.table_arn) for item in tables.values())


def _is_allowed(account: str, role: str, action: str, resource: str) -> bool:
    """Whether an inline policy of the role allows it."""
    found = next((item for item in iam_backends[account]["aws"].roles.values() if item.name == role), None)
    documents = (found.policies if found else {}).values()
    parsed = [json.loads(text) if isinstance(text, str) else text for text in documents]
    return any(
        action in _listed(item["Action"]) and any(_covers(pattern, resource) for pattern in _listed(item["Resource"]))
        for document in parsed
        for item in document["Statement"]
        if item["Effect"] == "Allow"
    )


def _covers(pattern: str, resource: str) -> bool:
    return fnmatchcase(resource, pattern) or fnmatchcase(f"{resource}/x", pattern)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
