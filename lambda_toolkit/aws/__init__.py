"""Calls to AWS: clients, retries, cached reads, and readable errors."""

from __future__ import annotations

from lambda_toolkit.aws.client import Aws

__all__ = ["Aws"]
