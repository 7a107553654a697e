"""The keys of ``[secrets.<name>]``: the ways to log in to a database. See :mod:`.keys` for what is made of them."""

from __future__ import annotations

from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type

SECRET = Table(
    "secrets.<name>",
    "A database's credentials in Secrets Manager: a URL that `deploy` stores there as `name`, or with `arn`, a secret "
    "that RDS or others manage ([connecting](connecting.md)). A function that names it finds it in `<NAME>_SECRET`.",
    (
        Key(
            "kind",
            Type.STRING,
            "`database`: the URL of a database. `webhook`: the URL of an incoming webhook of Slack, which is optional: "
            "where neither the variable nor AWS has one, nothing is stored.",
            '"webhook"',
            default="database",
            choices=("database", "webhook"),
        ),
        Key(
            "name",
            Type.STRING,
            "Its name in Secrets Manager.",
            '"{name}/{stage}/source"',
            absent="**required**, unless `arn` is given",
        ),
        Key(
            "environment",
            Type.STRING,
            "The environment variable that contains the URL when deploying, `postgresql://user:password@host:port/"
            "database?sslmode=...` ([connecting](connecting.md)). Where it is not set, the stored value stays.",
            '"SOURCE_DATABASE_URL"',
            absent="**required**, unless `arn` is given",
        ),
        Key(
            "ca",
            Type.STRING,
            "A PEM file with the authorities that the server's certificate and name are verified by, relative to the "
            "project. It travels in the package of the functions that use the secret.",
            '"config/ca.pem"',
            absent="[what the URL and the host say](connecting.md)",
        ),
        Key(
            "arn",
            Type.STRING,
            "The complete ARN of a secret that RDS or others manage: JSON with `username` and `password`. Functions "
            "that name it may read it; nothing of it is written or tagged. `name` and `environment` are then not used. "
            "An empty text: none, for a stage that stores its own.",
            '"arn:aws:secretsmanager:eu-west-2:123456789012:secret:rds!db-1234abcd-AbCdEf"',
            absent="a URL is stored",
        ),
        Key(
            "host",
            Type.STRING,
            "With `arn` or `auth`: the server.",
            '"shop.abc123.eu-west-2.rds.amazonaws.com"',
            absent="`host` of the secret",
        ),
        Key("port", Type.INTEGER, "With `arn` or `auth`: the port.", "5432", absent="`port` of the secret, or 5432"),
        Key("database", Type.STRING, "With `arn` or `auth`: the database.", '"shop"', absent="`dbname` of the secret"),
        Key(
            "sslmode",
            Type.STRING,
            "With `arn`: libpq's `sslmode`.",
            '"verify-full"',
            absent="[what the host says](connecting.md)",
            choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
        ),
        Key(
            "kms_key",
            Type.STRING,
            "With `arn`: the ARN of the KMS key that encrypts the secret, which the functions' roles may then use.",
            '"arn:aws:kms:eu-west-2:123456789012:key/1234abcd"',
            absent="AWS's own key, `aws/secretsmanager`",
        ),
        Key(
            "auth",
            Type.STRING,
            "`iam`: no password and no secret. The functions' roles may log in as `user` to the server of Amazon RDS "
            "that `resource` is, by a token for each connection. `host`, `database`, `user`, `resource` are required.",
            '"iam"',
            absent="a password",
            choices=("iam", ""),
        ),
        Key("user", Type.STRING, "With `auth`: the user, who has the role `rds_iam`.", '"loader"'),
        Key(
            "resource",
            Type.STRING,
            "With `auth`: the resource id of the server, `db-`, the cluster, `cluster-`, or the proxy, `prx-`.",
            '"db-ABCDEFGHIJKL01234"',
        ),
    ),
    alternatives=(("name", "environment"), ("arn",), ("auth", *("host", "database", "user", "resource"))),
)
