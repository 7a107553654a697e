"""Connecting: errors that say what to try, and the settings of a session. test_tls.py has what is encrypted."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect, connected
from tests.support.pipeline import READER_PASSWORD


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong-password"}, "refuses the password"),
        ({"database": "nowhere"}, "no such database"),
        ({"user": "unknown-role"}, "refuses the password"),
        ({"port": None}, "cannot be reached"),
        ({"host": "no-such-host.invalid"}, "cannot be reached"),
    ],
)
def test_connection_error_names_host_and_user_but_no_password(credentials, change, words):
    """A failure says where as whom and what to try and never the password."""
    if "port" in change:
        change = {"port": closed_port()}
    wrong = dataclasses.replace(credentials[0], origin="secret totes/dev/source", **change)
    with pytest.raises(ConnectionFailedError, match=words) as failure:
        connect(wrong)
    text = str(failure.value)
    assert (
        f"{wrong.host}:{wrong.port}, database {wrong.database}, as user {wrong.user} (secret totes/dev/source)" in text
    )
    assert wrong.password not in text + repr(wrong)


def test_a_session_is_set_whatever_the_server_prefers(credentials):
    with connected(credentials[0]) as admin:
        admin.run(f"ALTER DATABASE {credentials[0].database} SET DateStyle = 'German'")
        admin.run(f"ALTER DATABASE {credentials[0].database} SET extra_float_digits = '-15'")
    with connected(dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD)) as reader:
        assert reader.rows(
            "SELECT '2024-02-01'::date::text, (0.1::float8 + 0.2)::text, current_setting('TimeZone')"
        ) == [["2024-02-01", "0.30000000000000004", "UTC"]]
        assert reader.rows("SHOW statement_timeout") == [["9min"]]
