"""Which files differ between a function's deployed package and the one that a plan would deploy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

from lambda_toolkit.pipeline.client.target import Target

if TYPE_CHECKING:
    from lambda_script import Change
    from lambda_toolkit.aws import Aws

_TIMEOUT = 60.0  # seconds
_MOST = 20  # names in a line
_BYTECODE = ".pyc"  # follows from the sources


def with_changed_files(change: Change, aws: Aws, target: Target) -> Change:
    """``change``, and for a function whose code differs, the names of the files among its details.

    The deployed package is downloaded once, through GetFunction; other changes cost nothing. Where it cannot be read,
    the detail says so.
    """
    if change.package is None or not any(item.attribute == "code" for item in change.differences):
        return change
    try:
        names = list(compare(_deployed(aws, target, change.name), change.package))
    except (OSError, HTTPException, ValueError, zipfile.BadZipFile) as error:
        return replace(change, details=(*change.details, f"which files is not known: {error}"))
    more = [f"... and {len(names) - _MOST:,} more"] if len(names) > _MOST else []
    shown = ", ".join([*names[:_MOST], *more]) or "none but bytecode, or the order in the archive"
    return replace(change, details=(*change.details, f"files: {shown}"))


def compare(live: bytes, desired: bytes) -> Iterator[str]:
    """The names of the files that are new (+), changed (~) or missing (-) in the second of two zip archives, sorted.

    Raises BadZipFile.
    """
    before, after = _checksums(live), _checksums(desired)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{'+' if name not in before else '-' if name not in after else '~'} {name}"


def _checksums(archive: bytes) -> dict[str, tuple[int, int]]:
    """By name, the size and CRC that the archive's directory has: nothing is extracted."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {
            entry.filename: (entry.file_size, entry.CRC)
            for entry in opened.infolist()
            if not entry.is_dir() and not entry.filename.endswith(_BYTECODE)
        }


def _deployed(aws: Aws, target: Target, function: str) -> bytes:
    """The deployed package. Raises OSError, ValueError or HTTPException where it cannot be downloaded."""
    from lambda_script import ToolkitError

    try:
        url = str(aws.call("lambda", "get_function", FunctionName=function)["Code"].get("Location", ""))
    except ToolkitError as error:
        raise ValueError(str(error)) from error
    if not url.startswith(("https://", "http://")):
        raise ValueError("Lambda returned no address of the deployed package")
    request = _signed(url, target) if target.is_local else Request(url)  # noqa: S310 - its scheme is checked above
    with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310  # nosec B310
        content: bytes = answer.read()
    return content


def _signed(url: str, target: Target) -> Request:
    """A request to the local stack, which takes the administrator's signature; its presigned address is none."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    keys = Credentials(target.environ["AWS_ACCESS_KEY_ID"], target.environ["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("GET", url.partition("?")[0])
    SigV4Auth(keys, "lambda", target.pipeline.region).add_auth(request)
    return Request(request.url, headers=dict(request.headers.items()))  # noqa: S310
