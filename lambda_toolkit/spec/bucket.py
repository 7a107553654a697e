"""The declaration of an S3 bucket and its lifecycle rules, as frozen dataclasses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
BUCKET_NAMES = "its name must be 3 to 63 lower-case letters, digits, `-` and `.`, with a letter or digit at each end."
"""What is wrong with the name of a bucket that S3 does not accept."""


@dataclass(frozen=True)
class LifecycleRule:
    """A lifecycle rule of an S3 bucket. A number of days that is ``None`` means never.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
    """

    name: str
    """The rule's ID."""
    prefix: str = ""
    """Only objects whose keys begin with this."""
    abort_uploads_days: int | None = None
    """Days after which the parts of an incomplete multipart upload are deleted."""
    noncurrent_days: int | None = None
    """Days after which a version that was replaced or deleted is deleted permanently."""
    expire_days: int | None = None
    """Days after its creation when an object expires."""
    transition_days: int | None = None
    """Days after its creation when an object moves to ``storage_class``."""
    storage_class: str | None = None
    """S3's name of the storage class, such as ``STANDARD_IA``."""


@dataclass(frozen=True)
class BucketSpec:
    """An S3 bucket without public access, encrypted, versioned, reachable over TLS only.

    Lifecycle rules, policy statements and notifications of others are never changed.
    """

    name: str
    """The bucket's name, unique in all of AWS."""
    kms_key: str | None = None
    """The ARN or alias of the KMS key that encrypts the objects.

    ``None``: S3's own key (SSE-S3), but a key that a bucket has already stays.
    """
    tls_only: bool = True
    """Deny requests over plain HTTP by the bucket policy."""
    versioned: bool | None = True
    """Whether S3 keeps old versions of objects. ``None``: not managed."""
    lifecycle: tuple[LifecycleRule, ...] | None = None
    """``None``: not managed. Empty: the toolkit's rules are removed."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """A tag with an empty value is removed; undeclared tags stay."""
    adopt: bool = False
    """Manage an existing bucket of this name that the toolkit did not create."""


def is_bucket_name(name: str) -> bool:
    """Whether S3 accepts ``name`` for a general purpose bucket."""
    return bool(_BUCKET.fullmatch(name)) and ".." not in name
