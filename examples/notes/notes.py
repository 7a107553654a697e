"""Writes an HTML page beside each Markdown file that arrives in the bucket."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import boto3
from markdown_it import MarkdownIt

_s3 = boto3.client("s3")
_markdown = MarkdownIt()


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, list[str]]:
    """Takes S3's event; returns the keys of the pages. Raises where a file is no text, so that the alarm fires."""
    return {"pages": [_page(record["s3"]) for record in event.get("Records", ())]}


def _page(s3: dict[str, Any]) -> str:
    bucket, key = s3["bucket"]["name"], unquote_plus(s3["object"]["key"])
    text = _s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    page = key.removeprefix("notes/").removesuffix(".md") + ".html"
    html = _markdown.render(text).encode()
    _s3.put_object(Bucket=bucket, Key=f"pages/{page}", Body=html, ContentType="text/html; charset=utf-8")
    return f"pages/{page}"
