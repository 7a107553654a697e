"""The URL of a function: how two are compared, and what is shown and sent of one."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.resources.triggers import function_url
from lambda_toolkit.spec.function_url import Cors, FunctionUrl

LIVE_URL = {"AuthType": "NONE", "InvokeMode": "BUFFERED", "Cors": {"AllowHeaders": ["B", "a"], "MaxAge": 5}}


@pytest.mark.parametrize(
    ("live", "url", "differences"),
    [
        ({"AuthType": "NONE"}, FunctionUrl("NONE"), []),
        (LIVE_URL, FunctionUrl("NONE", Cors(headers=("A", "b"), max_age=5)), []),
        (LIVE_URL, FunctionUrl("NONE", Cors(headers=("a",))), ["cors.headers: a, b -> a", "cors.max_age: 5 -> 0"]),
        ({"AuthType": "NONE"}, FunctionUrl("AWS_IAM"), ["auth: NONE -> AWS_IAM"]),
        (
            {**LIVE_URL, "Cors": None},
            FunctionUrl("NONE", invoke_mode="RESPONSE_STREAM"),
            ["invoke_mode: BUFFERED -> RESPONSE_STREAM"],
        ),
        ({"AuthType": "NONE", "Cors": {"AllowOrigins": ["b", "a"]}}, FunctionUrl("NONE", Cors(("a", "b"))), []),
        ({"AuthType": "NONE", "Cors": {"AllowMethods": ["GET"]}}, FunctionUrl("NONE"), ["cors.methods: GET -> none"]),
        (
            {"AuthType": "NONE", "Cors": {"ExposeHeaders": ["X"]}},
            FunctionUrl("NONE"),
            ["cors.exposed_headers: x -> none"],
        ),
        (
            {"AuthType": "NONE", "Cors": {"AllowCredentials": True}},
            FunctionUrl("NONE"),
            ["cors.credentials: True -> False"],
        ),
    ],
)
def test_url_is_compared_without_order_and_case(live: Any, url: FunctionUrl, differences: list[str]) -> None:
    assert list(map(str, function_url._compare(live, url))) == differences


def test_url_is_shown_and_sent_without_what_is_empty() -> None:
    cors = Cors(("https://a.example",), ("GET",), ("X-A",), ("X-B",), credentials=True, max_age=5)
    assert function_url._settings("f", FunctionUrl("AWS_IAM", cors, "RESPONSE_STREAM")) == {
        "FunctionName": "f",
        "Qualifier": "live",
        "AuthType": "AWS_IAM",
        "InvokeMode": "RESPONSE_STREAM",
        "Cors": {
            "AllowOrigins": ["https://a.example"],
            "AllowMethods": ["GET"],
            "AllowHeaders": ["X-A"],
            "ExposeHeaders": ["X-B"],
            "AllowCredentials": True,
            "MaxAge": 5,
        },
    }
    assert function_url._settings("f", FunctionUrl("NONE"))["Cors"] == {}
    assert function_url._shown(FunctionUrl("AWS_IAM", invoke_mode="RESPONSE_STREAM")) == (
        "auth AWS_IAM",
        "invoke_mode RESPONSE_STREAM",
    )
