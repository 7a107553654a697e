"""ARNs of an account, without asking AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class ArnFormat(Protocol):
    """Builds ARNs: :class:`Aws` for the account of its credentials, :class:`Place` for one that is only named."""

    def arn(self, service: str, resource: str) -> str:
        """The ARN of ``resource``: in the region and account, save for IAM (no region) and S3 (neither)."""


@dataclass(frozen=True)
class Place:
    """An account and region to deploy to."""

    account: str
    """Twelve digits."""
    region: str
    """Such as ``eu-west-2``."""
    partition: str = "aws"
    """``aws``, ``aws-cn`` or ``aws-us-gov``."""

    def arn(self, service: str, resource: str) -> str:
        """As :meth:`ArnFormat.arn`."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"
