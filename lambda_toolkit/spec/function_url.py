"""The declaration of a function's URL, its forms, and what AWS would reject of it. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.spec.limit_checks import Found, in_range, of_length, unknown_value
from lambda_toolkit.spec.triggers.forms import names, one

PUBLIC, BY_IAM = "NONE", "AWS_IAM"
"""Lambda's kinds of authentication: everyone may call the URL, or who signs the request and is permitted to."""
BUFFERED, STREAMED = "BUFFERED", "RESPONSE_STREAM"
"""Lambda's modes of invocation: the response is sent when it is complete, or as the function writes it."""
_METHODS = ("GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*")
_MOST_METHODS, _MOST_ITEMS = 6, 100
_ORIGIN, _HEADER = 253, 1024  # characters
_MAX_AGE = (0, 86_400)  # seconds
_ORIGIN_FORM = re.compile(r"\*|https?://[^\s/]+", re.A)


@dataclass(frozen=True)
class Cors:
    """Which web pages of other origins may call the URL from a browser. Empty: none.

    https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html
    """

    origins: tuple[str, ...] = ()
    """Origins such as ``https://example.com``; ``*``: all."""
    methods: tuple[str, ...] = ()
    """HTTP methods such as ``GET``; ``*``: all."""
    headers: tuple[str, ...] = ()
    """Request headers that they may send."""
    exposed_headers: tuple[str, ...] = ()
    """Response headers that they may read."""
    credentials: bool = False
    """Whether they may send cookies and the like."""
    max_age: int = 0
    """For how many seconds a browser keeps the answer of a preflight request: 0 to 86,400."""

    @classmethod
    def of(cls, value: Cors | Mapping[str, Any]) -> Cors:
        """``value`` itself, or with the fields of a mapping. Raises TypeError for other values."""
        if isinstance(value, Cors):
            return value
        lists = ("origins", "methods", "headers", "exposed_headers")
        items = {name: value[name] for name in lists if name in value}
        return cls(
            **{**value, **{name: (item,) if isinstance(item, str) else tuple(item) for name, item in items.items()}}
        )


@dataclass(frozen=True)
class FunctionUrl:
    """An HTTPS endpoint of the function's alias ``live``."""

    auth: str
    """``AWS_IAM``: who signs the request and may invoke the function. ``NONE``: everyone on the internet."""
    cors: Cors = Cors()
    """Which web pages may call it."""
    invoke_mode: str = BUFFERED
    """``BUFFERED``, or ``RESPONSE_STREAM``, which needs code that streams."""

    @classmethod
    def of(cls, value: FunctionUrl | Mapping[str, Any] | str) -> FunctionUrl:
        """``value`` itself, the URL with that authentication, or with the fields of a mapping. Raises TypeError."""
        if isinstance(value, FunctionUrl):
            return value
        if isinstance(value, str):
            return cls(value)
        return cls(**{**value, **({"cors": Cors.of(value["cors"])} if "cors" in value else {})})

    @property
    def is_public(self) -> bool:
        """Whether everyone may call it."""
        return self.auth == PUBLIC


Url = str | FunctionUrl | Mapping[str, Any]
"""``AWS_IAM``, ``NONE``, an empty text, or the fields of :class:`FunctionUrl`."""


def read(value: Any) -> FunctionUrl | str | None:
    """The URL that ``value`` declares; ``None``, and an empty text, which removes it, stay. Raises TriggerError."""
    if value is None or value == "":
        return value if value is None else ""
    expected = (
        f'url takes "AWS_IAM", "NONE" (everyone may call it) or `auth` with {names(FunctionUrl, "auth")}: '
        '{"auth": "AWS_IAM", "cors": {"origins": ["https://example.com"]}}'
    )
    return one(value, FunctionUrl.of, expected)


def problems(url: FunctionUrl, function: object) -> Found:
    """What AWS would reject: a sentence each, with what to write instead."""
    if url.auth not in (PUBLIC, BY_IAM):
        yield from unknown_value(
            "lambda", "FunctionUrlAuthType", "its url's auth", url.auth, f"is not {BY_IAM} or {PUBLIC}"
        )
    if url.invoke_mode not in (BUFFERED, STREAMED):
        otherwise = f"is not {BUFFERED} or {STREAMED}"
        yield from unknown_value("lambda", "InvokeMode", "its url's invoke_mode", url.invoke_mode, otherwise)
    cors = url.cors
    yield from in_range("lambda", "MaxAge", "its url's max_age", cors.max_age, _MAX_AGE, "seconds")
    for method in cors.methods:
        if method not in _METHODS:
            yield f"its url's method `{method}` is not one of {', '.join(_METHODS)}: AWS answers OPTIONS itself."
    if len(cors.methods) > _MOST_METHODS:
        yield f"its url has {len(cors.methods)} methods, more than {_MOST_METHODS}; write * for all."
    for origin in cors.origins:
        yield from of_length("lambda", "Origin", f"its url's origin `{origin[:60]}`", origin, _ORIGIN)
        if not _ORIGIN_FORM.fullmatch(origin):
            yield f"its url's origin `{origin[:60]}` is no origin: write https://example.com, without a path, or *."
    for what, items in (("origins", cors.origins), ("headers", cors.headers), ("headers", cors.exposed_headers)):
        if len(items) > _MOST_ITEMS:
            yield f"its url has {len(items)} {what}, more than {_MOST_ITEMS}."
    for header in (*cors.headers, *cors.exposed_headers):
        yield from of_length("lambda", "Header", f"its url's header `{header[:60]}`", header, _HEADER)
