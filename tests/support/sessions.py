"""Sessions of boto3 that share what takes longest to read: the models of AWS's services."""

from __future__ import annotations

import boto3
import botocore.session
from botocore.loaders import Loader

REGION = "eu-west-2"
ACCOUNT = "123456789012"  # the account that moto emulates
_MODELS = Loader()


def new_session() -> boto3.Session:
    """A session in the region of the tests."""
    core = botocore.session.Session()
    core.register_component("data_loader", _MODELS)
    return boto3.Session(botocore_session=core, region_name=REGION)
