"""What a session of the pipeline has, whatever the server prefers; and how many more a server would accept."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connect, connected, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.free_connections import free_connections

HOSTILE = {
    "DateStyle": ("German", "ISO, YMD"),
    "IntervalStyle": ("iso_8601", "postgres"),
    "TimeZone": ("Asia/Tokyo", "UTC"),
    "client_encoding": ("LATIN1", "UTF8"),
    "extra_float_digits": ("-15", "1"),
    "bytea_output": ("escape", "hex"),
    "lc_monetary": ("C.UTF-8", "C"),
    "search_path": ("pg_catalog", "public"),
    "statement_timeout": ("1h", "9min"),
    "lock_timeout": ("1h", "1min"),
    "idle_in_transaction_session_timeout": ("1h", "2min"),
    "idle_session_timeout": ("1h", "0"),
    "tcp_keepalives_idle": ("77", "30"),
    "tcp_keepalives_interval": ("77", "10"),
    "tcp_keepalives_count": ("7", "3"),
}


def test_each_setting_is_the_pipelines(credentials) -> None:
    """A role's or a database's own would change texts of values, or let a killed function keep its locks for hours."""
    where = credentials[0]
    with connected(where) as admin:
        for name, (theirs, _) in HOSTILE.items():
            admin.run(f"ALTER DATABASE {where.database} SET {name} = '{theirs}'")
    with connected(where) as session:
        found = {name: session.rows(f"SHOW {name}")[0][0] for name in HOSTILE}
        assert found == {name: ours for name, (_, ours) in HOSTILE.items()}
        named = session.rows("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        assert named == [["lambda_script pipeline"]]


REFUSED = {
    "NOLOGIN": r"the server does not let this user in \(pg_hba.conf, or a role that may not log in\)",
    "LOGIN CONNECTION LIMIT 0": "the server has no connection left. Raise max_connections, or see pg_stat_activity",
    "LOGIN": "the user may not connect to this database. Grant CONNECT",
}


def test_refused_login_says_what_to_try(credentials) -> None:
    where = credentials[0]
    with connected(where) as admin:
        for made, words in REFUSED.items():
            if made == "LOGIN":
                admin.run(f"REVOKE CONNECT ON DATABASE {where.database} FROM public")
            admin.run(f"CREATE ROLE newcomer {made} PASSWORD 'secret'")
            try:
                user = dataclasses.replace(where, user="newcomer", password="secret")
                with pytest.raises(ConnectionFailedError, match=f"as user newcomer .*: {words}"):
                    connect(user)
                with pytest.raises(ConnectionFailedError) as by_iam:
                    connect(dataclasses.replace(user, token=lambda: "secret"))
                assert ("refuses the token of IAM authentication" in str(by_iam.value)) is (made == "NOLOGIN")
            finally:
                admin.run("DROP ROLE newcomer")


LEFT = """
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int
        - count(*) FILTER (WHERE datid IS NOT NULL)::int FROM pg_stat_activity
"""


def is_limited_by_the_server(session: Connection) -> bool:
    """Whether it has as many as the server has left: counted twice, as sessions of other tests may still be ending."""
    while True:
        [[before]], found, [[after]] = session.rows(LEFT), free_connections(session), session.rows(LEFT)
        if before == after:
            return bool(found == before > 10)


def test_free_connections_are_those_of_server_database_and_user(credentials) -> None:
    """The least of three: what the server has left, this database, and this user; what others may have is no limit."""
    here, elsewhere = credentials
    with contextlib.ExitStack() as opened:
        first, other = (opened.enter_context(connected(where)) for where in (here, elsewhere))
        opened.enter_context(connected(elsewhere))
        assert is_limited_by_the_server(first)

        def limited(place: str, most: int) -> int:
            first.run(f"ALTER {place} CONNECTION LIMIT {most}")
            return free_connections(first)

        of_database = f"DATABASE {here.database}"
        assert [limited(of_database, most) for most in (5, 1, 0)] == [4, 0, 0]
        assert is_limited_by_the_server(other), "of another database"
        limited(of_database, -1)
        assert is_limited_by_the_server(first)
        first.run("CREATE ROLE few LOGIN PASSWORD 'secret' CONNECTION LIMIT 4; GRANT pg_monitor TO few")
        try:
            user = dataclasses.replace(here, user="few", password="secret")
            with connected(user) as one, connected(user):
                assert free_connections(one) == 2
                assert [limited("ROLE few", most) and free_connections(one) for most in (3, 2)] == [1, 0]
                assert is_limited_by_the_server(first), "of another user"
                first.run("ALTER ROLE few CONNECTION LIMIT 0")
                assert free_connections(one) == 0
        finally:
            first.run("REVOKE pg_monitor FROM few; DROP ROLE few")


def test_texts_of_an_array_are_what_was_given(empty) -> None:
    texts = ["null", "NULL", "", 'a"b', "a\\b", "{a,b}", " ", "é\n"]
    assert empty.rows("SELECT t FROM unnest(CAST(:texts AS text[])) AS t", texts=texts) == [[text] for text in texts]
    assert empty.rows("SELECT CAST(:numbers AS int[])", numbers=[1, None]) == [[[1, None]]]
    assert empty.rows("SELECT CAST(:none AS text[])", none=[]) == [[[]]]
    assert empty.run_as_it_is("SELECT ':a', '::b'") == [[":a", "::b"]]
    with pytest.raises(DatabaseError, match="cannot insert multiple commands"):
        empty.run_as_it_is("SELECT 1; SELECT 2")
    assert empty.rows("CREATE TABLE a ()") == [] and empty.run_as_it_is("CREATE TABLE b ()") == []
    names = ['"public"."a"', '"public"."c"', '"pg_temp"."a"', '"other"."b"']
    assert empty.absent_tables(names) == set(names[1:])


def test_lock_of_a_session_or_a_transaction_is_one(credentials, empty) -> None:
    with connected(credentials[1]) as other:
        assert empty.try_lock(7) and not other.try_lock(7) and other.try_lock(8)
        empty.rows("SELECT pg_advisory_unlock(7)")
        with transaction(empty):
            assert empty.try_lock(7, of_transaction=True) and not other.try_lock(7)
        assert other.try_lock(7), "released with the transaction"


def test_transaction_ends_with_what_the_block_did(empty) -> None:
    empty.run("CREATE TABLE kept (n int)")
    with transaction(empty, "BEGIN ISOLATION LEVEL REPEATABLE READ"):
        assert empty.rows("SHOW transaction_isolation") == [["repeatable read"]]
        empty.run("INSERT INTO kept VALUES (1)")
    with pytest.raises(KeyError), transaction(empty):
        empty.run("INSERT INTO kept VALUES (2)")
        raise KeyError
    with pytest.raises(DatabaseError, match="42P01"), transaction(empty):
        empty.run("SELECT * FROM absent")
    assert empty.rows("SELECT n FROM kept") == [[1]]
    assert empty.rows("SELECT 1 WHERE pg_current_xact_id_if_assigned() IS NULL") == [[1]], "none is open"
