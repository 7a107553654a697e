"""One way to AWS: clients, retries, cached reads, and errors in words."""

from __future__ import annotations

from lambda_toolkit.aws.client import Aws

__all__ = ["Aws"]
