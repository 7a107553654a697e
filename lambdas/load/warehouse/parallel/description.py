"""All that the catalogs say of a table, and of what depends on it, in one text: to compare two tables of one name.

What is compared is everything that a table has except its rows and the numbers by which the catalogs know it. So a
table that takes the place of another is known to have what the other had, also what no list has here: a
difference is found, whatever it is.
https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

import json
from typing import Any

from ....shared.postgres import sql
from ....shared.postgres.connection import Connection

# What is not compared: object ids, positions that dropped columns shift, statistics, and flags that may be stale.
_ACL = """(
    SELECT jsonb_agg(jsonb_build_array(p.grantor::regrole, p.grantee, p.privilege_type, p.is_grantable)
                     ORDER BY p.grantor, p.grantee, p.privilege_type, p.is_grantable)
    FROM aclexplode(coalesce($acl, acldefault('$kind', $owner))) AS p
)"""
_DESCRIPTION = """
WITH t AS (SELECT * FROM pg_catalog.pg_class WHERE oid = CAST(:relation AS regclass)),
own AS (
    SELECT d.objid AS oid FROM pg_catalog.pg_depend AS d JOIN t ON d.refobjid = t.oid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
)
SELECT jsonb_build_object(
    'table', (
        SELECT to_jsonb(t) - '{oid,reltype,relfilenode,reltoastrelid,relpages,reltuples,relallvisible,relallfrozen,
            relnatts,relhasindex,relhasrules,relhastriggers,relhassubclass,relrewrite,relfrozenxid,relminmxid,relacl,
            relpartbound}'::text[] || jsonb_build_object('comment', obj_description(t.oid, 'pg_class')) FROM t
    ),
    'options of long values', (SELECT o.reloptions FROM pg_catalog.pg_class AS o JOIN t ON t.reltoastrelid = o.oid),
    'privileges', (SELECT $table_acl FROM t),
    'columns', (
        SELECT jsonb_agg(
            jsonb_build_object(
                'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'not null', a.attnotnull,
                'default', pg_get_expr(e.adbin, e.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated,
                'collation', a.attcollation, 'storage', a.attstorage, 'statistics', a.attstattarget,
                'compression', to_jsonb(a) -> 'attcompression', 'options', a.attoptions, 'privileges', a.attacl,
                'parents', a.attinhcount, 'comment', col_description(a.attrelid, a.attnum)
            ) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a JOIN t ON t.oid = a.attrelid
        LEFT JOIN pg_catalog.pg_attrdef AS e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped
    ),
    'constraints', (
        SELECT jsonb_agg(
            jsonb_build_array(
                k.conname, k.contype, pg_get_constraintdef(k.oid), k.convalidated, k.condeferrable, k.condeferred,
                k.connoinherit, k.conislocal, k.coninhcount, obj_description(k.oid, 'pg_constraint'), (
                    SELECT jsonb_agg(DISTINCT g.tgenabled) FROM pg_catalog.pg_trigger AS g
                    WHERE g.tgconstraint = k.oid
                )
            ) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint AS k JOIN t ON t.oid = k.conrelid
    ),
    'indexes', (
        SELECT jsonb_agg(
            jsonb_build_array(
                pg_get_indexdef(i.indexrelid), c.reltablespace, c.reloptions, obj_description(c.oid, 'pg_class'),
                to_jsonb(i) - '{indexrelid,indrelid,indkey,indexprs,indpred,indcheckxmin}'::text[], (
                    SELECT jsonb_agg(a.attstattarget ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid
                )
            ) ORDER BY c.relname)
        FROM pg_catalog.pg_index AS i JOIN t ON t.oid = i.indrelid JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    ),
    'sequences', (
        SELECT jsonb_agg(
            jsonb_build_array(
                c.oid::regclass, c.relowner, c.relpersistence, $sequence_acl, obj_description(c.oid, 'pg_class'),
                to_jsonb(q) - 'seqrelid', pg_sequence_last_value(c.oid)
            ) ORDER BY c.relname)
        FROM own JOIN pg_catalog.pg_class AS c ON c.oid = own.oid JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = c.oid
    ),
    'views', (
        SELECT jsonb_agg(DISTINCT jsonb_build_array(
            v.oid, v.oid::regclass, v.relkind, v.relowner, v.reloptions, v.relacl, pg_get_viewdef(v.oid)))
        FROM pg_catalog.pg_depend AS d JOIN t ON d.refobjid = t.oid AND d.refclassid = 'pg_class'::regclass
        JOIN pg_catalog.pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class WHERE v.oid <> t.oid
    ),
    'triggers', (
        SELECT jsonb_agg(pg_get_triggerdef(g.oid) ORDER BY g.tgname)
        FROM pg_catalog.pg_trigger AS g JOIN t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal
    ),
    'rules', (SELECT jsonb_agg(pg_get_ruledef(r.oid)) FROM pg_catalog.pg_rewrite AS r JOIN t ON t.oid = r.ev_class),
    'policies', (SELECT jsonb_agg(p.polname) FROM pg_catalog.pg_policy AS p JOIN t ON t.oid = p.polrelid),
    'statistics', (SELECT jsonb_agg(x.stxname) FROM pg_catalog.pg_statistic_ext AS x JOIN t ON t.oid = x.stxrelid),
    'publications', (
        SELECT jsonb_agg(p.pubname) FROM pg_catalog.pg_publication AS p, t
        WHERE EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid = p.oid AND r.prrelid = t.oid)
    ),
    'labels', (
        SELECT jsonb_agg(l.label) FROM pg_catalog.pg_seclabel AS l JOIN t ON t.oid = l.objoid
        WHERE l.classoid = 'pg_class'::regclass
    ),
    'inheritance', (
        SELECT count(*) FROM pg_catalog.pg_inherits AS h, t WHERE t.oid IN (h.inhrelid, h.inhparent)
    ),
    'extensions', (
        SELECT count(*) FROM pg_catalog.pg_depend AS d WHERE d.deptype IN ('e', 'x')
        AND d.objid IN (SELECT oid FROM t UNION SELECT i.indexrelid FROM pg_catalog.pg_index AS i, t
                        WHERE i.indrelid = t.oid)
    )
)::text
"""


def describe(connection: Connection, relation: sql.Fragment) -> dict[str, Any]:
    """What the catalogs say of the table ``relation``, by subject."""
    acl = {
        name: sql.Fragment(_ACL.replace("$acl", column).replace("$kind", kind).replace("$owner", owner))
        for name, column, kind, owner in (
            ("table_acl", "t.relacl", "r", "t.relowner"),
            ("sequence_acl", "c.relacl", "s", "c.relowner"),
        )
    }
    found = connection.rows(sql.compose(_DESCRIPTION, **acl), relation=relation)
    return dict(json.loads(found[0][0]))
