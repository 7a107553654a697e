"""``aws SERVICE OPERATION --option value`` for machines without the AWS CLI: the same names, by botocore's model."""

from __future__ import annotations

import json
import sys

import boto3
from botocore import xform_name


def main(arguments: list[str]) -> None:
    """Call the operation, and print its answer as the AWS CLI does."""
    service, command, *rest = arguments
    client = boto3.client(service)
    operation = command.replace("-", "_")
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
    members = {xform_name(name, "-"): name for name in shape.members} if shape else {}
    options = {members[name.removeprefix("--")]: value for name, value in zip(rest[::2], rest[1::2], strict=True)}
    answer = getattr(client, operation)(**options)
    answer.pop("ResponseMetadata")
    if answer:
        print(json.dumps(answer, indent=4, default=str))


if __name__ == "__main__":
    main(sys.argv[1:])
