"""Sessions of boto3 that share what takes longest to make: the models of AWS's services, and botocore's handlers."""

from __future__ import annotations

import copy
from functools import cache

import boto3
import botocore.session
from botocore.hooks import HierarchicalEmitter
from botocore.loaders import Loader

from tests.support.remembered import remember

REGION = "eu-west-2"
ACCOUNT = "123456789012"  # the account that moto emulates
_MODELS = Loader()
remember()


@cache
def _handlers() -> HierarchicalEmitter:
    """What botocore registers for each session, moto's handler among it, registered once."""
    return botocore.session.Session()._original_handler


def new_session() -> boto3.Session:
    """A session in the region of the tests."""
    core = botocore.session.Session(event_hooks=copy.copy(_handlers()), include_builtin_handlers=False)
    core.register_component("data_loader", _MODELS)
    return boto3.Session(botocore_session=core, region_name=REGION)
