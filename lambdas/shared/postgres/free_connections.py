"""How many further connections a server would accept: whoever opens several takes no more than a part of them."""

from __future__ import annotations

from .connection import Connection

_FREE = """
SELECT least(
  current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
  - coalesce(current_setting('reserved_connections', true)::bigint, 0)
  - (SELECT sum(numbackends)::bigint FROM pg_catalog.pg_stat_database),
  (SELECT d.datconnlimit - s.numbackends FROM pg_catalog.pg_database AS d JOIN pg_catalog.pg_stat_database AS s
   ON s.datid = d.oid WHERE d.datname = current_database() AND d.datconnlimit >= 0),
  (SELECT r.rolconnlimit - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user)
   FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user AND r.rolconnlimit >= 0)
)::bigint
"""


def free_connections(connection: Connection) -> int:
    """How many connections the server has left for this user and this database, by its own count.

    https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-MAX-CONNECTIONS
    """
    return max(0, int(connection.rows(_FREE)[0][0]))
