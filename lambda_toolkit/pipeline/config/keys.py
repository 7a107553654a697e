"""Every key of ``pipeline.toml``: its type, default, meaning and an example.

The reader (``toml_reader``), ``pipeline.schema.json`` and ``docs/configuration.md`` come from this one declaration.
Defaults that the toolkit has as well are taken from its dataclasses.
"""

from __future__ import annotations

from lambda_script import Alarm, BucketSpec, Canary, FunctionSpec
from lambda_toolkit.pipeline.config.key_types import Key, Table, Type
from lambda_toolkit.pipeline.lambdas.shared.calendar import ATTRIBUTES, Calendar
from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA

PIPELINE = Table(
    "pipeline",
    "The pipeline as a whole.",
    (
        Key(
            "name",
            Type.STRING,
            "Begins the name of every resource and is its tag `application`.",
            '"totes"',
            required=True,
        ),
        Key("stage", Type.STRING, "The stage that commands are about without `--stage`.", '"dev"', default="dev"),
        Key(
            "region",
            Type.STRING,
            "The AWS region. `AWS_REGION` and `AWS_DEFAULT_REGION` of the environment take precedence.",
            '"eu-west-2"',
            absent="the environment must name one",
        ),
        Key(
            "log_retention_days",
            Type.INTEGER,
            "Days that CloudWatch Logs keeps the functions' logs: one of the values that it accepts.",
            "30",
            default=FunctionSpec.log_retention_days,
        ),
        Key(
            "tags",
            Type.STRING_TABLE,
            "Tags of every resource. A tag with an empty value is removed.",
            '{ project = "totes" }',
            default={},
        ),
    ),
)

LIFECYCLE = Table(
    "buckets.<name>.lifecycle",
    "A lifecycle rule of a bucket. It needs one of the keys that end in `_days`.",
    (
        Key("name", Type.STRING, "The rule's ID.", '"uploads"', required=True),
        Key("prefix", Type.STRING, "The objects that it is about, by the start of their keys.", '"old/"', default=""),
        Key(
            "abort_uploads_days",
            Type.INTEGER,
            "Days after which an incomplete multipart upload is aborted.",
            "7",
            absent="never",
        ),
        Key(
            "noncurrent_days",
            Type.INTEGER,
            "Days after which a noncurrent version is deleted.",
            "30",
            absent="never",
        ),
        Key("expire_days", Type.INTEGER, "Days after which an object expires.", "365", absent="never"),
        Key(
            "transition_days",
            Type.INTEGER,
            "Days after which an object moves to `storage_class`, which it needs.",
            "90",
            absent="never",
        ),
        Key(
            "storage_class",
            Type.STRING,
            "The storage class that objects move to after `transition_days`.",
            '"GLACIER_IR"',
            absent="none",
            choices=("DEEP_ARCHIVE", "GLACIER", "GLACIER_IR", "INTELLIGENT_TIERING", "ONEZONE_IA", "STANDARD_IA"),
        ),
    ),
)
BUCKET = Table(
    "buckets.<name>",
    "An S3 bucket. Functions name it by `<name>`, and find its name on AWS in the variable `<NAME>_BUCKET`.",
    (
        Key(
            "name",
            Type.STRING,
            'Its name on AWS. A bucket that needs nothing else is written `<name> = "..."` below `[buckets]`.',
            '"{name}-{stage}-ingestion-{account}"',
            required=True,
        ),
        Key(
            "kms_key",
            Type.STRING,
            "The ARN of the KMS key that encrypts its objects.",
            '"arn:aws:kms:eu-west-2:123456789012:key/1234abcd"',
            absent="S3's own keys (SSE-S3)",
        ),
        Key(
            "versioned",
            Type.BOOLEAN,
            "Whether it keeps old versions of objects.",
            "true",
            default=BucketSpec.versioned,
        ),
        Key(
            "lifecycle",
            Type.TABLES,
            "Its lifecycle rules. An empty list removes those that an earlier deploy made.",
            '[{ name = "uploads", abort_uploads_days = 7 }]',
            absent="not managed",
            table=LIFECYCLE,
        ),
    ),
)

ALERTS = Table(
    "alerts",
    "Who is notified when an alarm changes to `ALARM`.",
    (
        Key("topic", Type.STRING, "The name of the SNS topic.", '"{name}-{stage}-alerts"', required=True),
        Key(
            "emails",
            Type.STRINGS,
            "The addresses that are subscribed; AWS asks each to confirm. An empty list removes all.",
            '["data@example.com"]',
            absent="not managed",
        ),
        Key(
            "kms_key",
            Type.STRING,
            "The ARN of the KMS key that encrypts the messages ([its policy](deploying.md#the-topic)). An empty text "
            "removes it.",
            '"arn:aws:kms:eu-west-2:123456789012:key/1234abcd"',
            absent="not managed; SNS encrypts what it stores",
        ),
    ),
)

SECRET = Table(
    "secrets.<name>",
    "A database's credentials in Secrets Manager: a URL that `deploy` stores there as `name`, or with `arn`, a secret "
    "that RDS or others manage ([connecting](connecting.md)). A function that names it finds it in `<NAME>_SECRET`.",
    (
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
            "With `arn`: the server.",
            '"shop.abc123.eu-west-2.rds.amazonaws.com"',
            absent="`host` of the secret",
        ),
        Key("port", Type.INTEGER, "With `arn`: the port.", "5432", absent="`port` of the secret, or 5432"),
        Key("database", Type.STRING, "With `arn`: the database.", '"shop"', absent="`dbname` of the secret"),
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
    ),
    alternatives=(("name", "environment"), ("arn",)),
)

ALARM = Table(
    "alarms.<name>",
    "A CloudWatch alarm, for each function that names it. Its name on AWS is `<function>-<name>`.",
    (
        Key("metric", Type.STRING, "The metric's name.", '"Errors"', required=True),
        Key("namespace", Type.STRING, "The metric's namespace.", '"AWS/Lambda"', default=Alarm.namespace),
        Key(
            "threshold",
            Type.NUMBER,
            "In alarm when the statistic over a period reaches this.",
            "1",
            absent="1, unless `below` is given",
        ),
        Key(
            "below",
            Type.NUMBER,
            "Instead of `threshold`: in alarm when the statistic is less than this. Periods without data count as 0.",
            "1",
            absent="`threshold` applies",
        ),
        Key("period", Type.INTEGER, "Seconds: 10, 20, 30 or a multiple of 60.", "900", default=Alarm.period),
        Key(
            "evaluation_periods",
            Type.INTEGER,
            "How many periods are evaluated.",
            "2",
            default=Alarm.evaluation_periods,
        ),
        Key(
            "datapoints_to_alarm",
            Type.INTEGER,
            "How many of them must breach. With `below`, at least 2: the data of the last minutes come late.",
            "2",
            absent="all",
        ),
        Key(
            "expression",
            Type.STRING,
            "What is compared in place of the statistic, which is `m` in it: numbers, `+ - * /`, parentheses and "
            "`FILL(m, number)`.",
            '"FILL(m, 0) / 60"',
            absent="`m`; with `below`, `FILL(m, 0)`",
        ),
        Key(
            "statistic",
            Type.STRING,
            "The statistic over a period.",
            '"Maximum"',
            default=Alarm.statistic,
            choices=("Average", "Maximum", "Minimum", "SampleCount", "Sum"),
        ),
        Key(
            "description",
            Type.STRING,
            "What the email says: write what to do. It may contain `{function}` and `{stage}`.",
            '"{function} failed. See its log."',
            default=Alarm.description,
        ),
    ),
)

SOURCE = Table(
    "source.<table>",
    "A table of the source database. All its columns are ingested.",
    (
        Key(
            "key",
            Type.STRING_OR_STRINGS,
            "The column that is its key, or a list of the columns that together are.",
            '["order_id", "line_no"]',
            required=True,
        ),
        Key(
            "deletes",
            Type.STRING,
            "How often keys are compared to find deleted rows: `every run`, `never`, or an interval such as `1 hour`.",
            '"30 minutes"',
            absent="as often as the table's size permits",
        ),
        Key(
            "compare",
            Type.STRING,
            "How changed rows are found: by the transaction that wrote them, or by comparing their content, for "
            "tables whose rows carry no transaction.",
            '"content"',
            default="transactions",
            choices=("transactions", "content"),
        ),
        Key("schema", Type.STRING, "The schema that it is in.", '"sales"', default=SCHEMA),
        Key(
            "table",
            Type.STRING,
            "Its name in the database, where that is not `<table>`: so two schemas may have a table of the same name.",
            '"Order Details"',
            absent="`<table>`",
        ),
    ),
)
MIRROR = Table(
    "warehouse",
    "The warehouse. Beside its tables, which tables of the source it has as they are ([mirror](mirror.md)).",
    (
        Key(
            "mirror",
            Type.STRINGS,
            "The tables of the source that become warehouse tables as they are, with every version: names with `*` and "
            "`?`; one that begins with `!` excludes. The last that fits a table counts.",
            '["*", "!audit_*"]',
            default=(),
        ),
    ),
)
VERSION = Table(
    "warehouse.<table>.versions.<column>",
    "Of a fact: a column that load fills with the surrogate key of a dimension's version, the one that was valid at "
    "the batch of the fact's own version.",
    (
        Key("of", Type.STRING, "The dimension, which has `history = true`.", '"dim_customer"', required=True),
        Key(
            "by",
            Type.STRING_OR_STRINGS,
            "The columns of the fact that have the dimension's `key`, in its order.",
            '"customer_id"',
            required=True,
        ),
    ),
)
WAREHOUSE = Table(
    "warehouse.<table>",
    "A table of the warehouse. The types of its columns are in `config/warehouse.sql`.",
    (
        Key(
            "kind",
            Type.STRING,
            "`dimension`: the latest row only, unless `history` is true. `fact`: every version of a row, numbered by "
            "`record`. `calendar`: every date that a fact names.",
            '"fact"',
            required=True,
            choices=("calendar", "dimension", "fact"),
        ),
        Key(
            "key",
            Type.STRING_OR_STRINGS,
            "The column that identifies a row of the source, or a list of them in the order of the source's `key`.",
            '"sales_order_id"',
            required=True,
        ),
        Key("from", Type.STRING, "The source table. Required, except of a calendar.", '"sales_order"'),
        Key(
            "record",
            Type.STRING,
            "The surrogate key: the column that numbers the versions. A fact requires it, and a dimension with "
            "`history`.",
            '"record_id"',
        ),
        Key(
            "versions",
            Type.NAMED_TABLES,
            "Of a fact: columns with the version of a dimension that was valid at the batch of the fact's own version.",
            '{ customer_key = { of = "dim_customer", by = "customer_id" } }',
            default={},
            table=VERSION,
        ),
        Key(
            "history",
            Type.BOOLEAN,
            "Whether a dimension keeps every version of a row, with the columns `record`, `valid_from`, `valid_to` and "
            "`is_current`, which load fills.",
            "true",
            default=False,
        ),
        Key(
            "join",
            Type.JOINS,
            "Further source tables, each with the column of `from` that contains its key. With `table`, `on` (a list "
            "for a key of several columns) and `from` (another alias) instead, a table is joined under an "
            "[alias](extending.md#joins): more than once, along a path, or to itself. Where no row is found, its "
            "columns are NULL.",
            '{ department = "department_id" }',
            default={},
        ),
        Key(
            "where",
            Type.STRING,
            "The rows that it has: a condition of SQL ([filters](expressions.md#filters)). A row that stops matching "
            "is deleted from the present, and stays in the history.",
            "\"status <> 'draft'\"",
            absent="every row",
        ),
        Key(
            "columns",
            Type.STRING_TABLE,
            "Its columns: `column`, `alias.column` of a join, `date(c)`, `time(c)`, `decimal(c, p, s)`, "
            "`currency_name(c)`, or any [expression](expressions.md) of SQL. Required, except of a calendar, whose "
            "columns may be any of " + ", ".join(f"`{name}`" for name in ATTRIBUTES) + ".",
            '{ staff_id = "staff_id", location = "department.location" }',
            default={},
        ),
        Key(
            "fiscal_year_start",
            Type.INTEGER,
            "Of a calendar: the month that begins a fiscal year, which has the number of the year that it ends in.",
            "4",
            default=Calendar.fiscal_year_start,
        ),
        Key(
            "first_day",
            Type.STRING,
            "Of a calendar: it has every day from this one to that of the last batch, whether or not rows name them.",
            '"2020-01-01"',
            absent="only days that rows name, or that `days_ahead` adds",
        ),
        Key(
            "days_ahead",
            Type.INTEGER,
            "Of a calendar: how many days after the day of a batch (UTC) it has.",
            "730",
            absent="only days that rows name, or that `first_day` adds",
        ),
    ),
)

PACKAGING = (
    Key(
        "runtime",
        Type.STRING,
        "Lambda's runtime, or `host` for the Python that deploys.",
        '"python3.13"',
        absent="the Python that deploys",
    ),
    Key(
        "architecture",
        Type.STRING,
        "The processor that functions run on.",
        '"arm64"',
        default=FunctionSpec.architecture,
        choices=("x86_64", "arm64"),
    ),
    Key(
        "platform",
        Type.STRING,
        "The platform that requirements are installed for, as uv names it, or `host` for this machine.",
        '"host"',
        absent="Lambda's, for the architecture",
    ),
    Key(
        "requirements",
        Type.STRINGS,
        "Requirements of Python packages (PEP 508). They become a layer that functions share.",
        '["pg8000>=1.31.6,<2"]',
        default=(),
    ),
    Key(
        "requirements_exclude",
        Type.STRINGS,
        "Globs of installed files that are excluded from the layer; one that begins with `!` keeps what it matches.",
        '["pyarrow/tests/**"]',
        default=(),
    ),
)
LOCK = Key(
    "lock",
    Type.STRING,
    "The file with exact versions and hashes for `requirements`, which the command `lock` writes "
    "([packages](packages.md#the-lock)). For all functions.",
    '"config/requirements.lock"',
    absent="not locked",
)
PACKAGES = Table(
    "packages",
    "How functions are packaged. A function may have its own value of each key but `lock`.",
    (*PACKAGING, LOCK),
)

TRIGGER = Table(
    "functions.<name>.s3_trigger",
    "Objects that start the function when they are created.",
    (
        Key("bucket", Type.STRING, "The bucket, by its name in `[buckets]`.", '"ingestion"', required=True),
        Key("prefix", Type.STRING, "The start of the objects' keys.", '"manifests/"', default=""),
        Key("suffix", Type.STRING, "The end of the objects' keys.", '".json"', default=""),
    ),
)
CANARY = Table(
    "functions.<name>.canary",
    "A new version first takes a share of the invocations, while the function's alarms are watched.",
    (
        Key("weight", Type.NUMBER, "The share, between 0 and 1.", "0.1", default=Canary.weight),
        Key("minutes", Type.NUMBER, "For how many minutes, at most 60.", "10", default=Canary.minutes),
    ),
)
FUNCTION = Table(
    "functions.<name>",
    "A Lambda function. Its name on AWS is `<pipeline>-<stage>-<name>`.",
    (
        Key(
            "source",
            Type.STRING,
            "The file or folder of its code, relative to the project.",
            '"code/report"',
            absent="the code of that name that this package ships: `extract`, `transform`, `load`",
        ),
        Key(
            "include",
            Type.STRINGS,
            "Further files and folders of its package, relative to the project.",
            '["code/shared"]',
            absent="none; of shipped code, its shared modules",
        ),
        Key(
            "handler",
            Type.STRING,
            "The handler, `module.function`.",
            '"report.lambda_handler"',
            absent="found in the source: `lambda_handler` of `lambda_function.py`, `handler.py` or the only module",
        ),
        Key(
            "memory",
            Type.INTEGER,
            "Memory in MB, 128 to 10240, or more where [AWS allows it](deploying.md#limits).",
            "1024",
            default=FunctionSpec.memory,
        ),
        Key(
            "timeout",
            Type.INTEGER,
            "Timeout in seconds, 1 to 900, or more where [AWS allows it](deploying.md#limits).",
            "600",
            default=FunctionSpec.timeout,
        ),
        Key(
            "environment",
            Type.STRING_TABLE,
            "Environment variables, besides those of its buckets and its secret.",
            '{ SWEEP_AFTER_DAYS = "2" }',
            default={},
        ),
        Key(
            "schedule",
            Type.STRING,
            "When it is started, in UTC: unix cron, `rate(...)` or EventBridge's `cron(...)`. An empty string removes "
            "the schedule.",
            '"rate(5 minutes)"',
            absent="not managed",
        ),
        Key(
            "s3_trigger",
            Type.TABLES,
            "The objects that start it. An empty list removes its triggers.",
            '{ bucket = "ingestion", prefix = "manifests/" }',
            absent="not managed",
            table=TRIGGER,
        ),
        Key(
            "alarms",
            Type.STRINGS,
            "Its alarms, by their names in `[alarms]`. An empty list removes them.",
            '["errors", "silent"]',
            absent="not managed",
        ),
        Key(
            "reads",
            Type.STRINGS,
            "Buckets that its role may read, or a prefix in one: `lake`, `lake/reports/`.",
            '["ingestion"]',
            default=(),
        ),
        Key("writes", Type.STRINGS, "Buckets or prefixes that its role may write to.", '["processed"]', default=()),
        Key(
            "sweeps",
            Type.STRINGS,
            "Buckets or prefixes where its role may delete data files; never a manifest.",
            '["ingestion"]',
            default=(),
        ),
        Key("secret", Type.STRING, "The secret that its role may read, by its name in `[secrets]`.", '"source"'),
        Key(
            "health_event",
            Type.OBJECT,
            "The event that a new version is invoked with. It becomes live only if it returns no error.",
            '{ action = "check" }',
            absent="a new version becomes live without a check",
        ),
        Key(
            "canary",
            Type.TABLE,
            "How a new version is tried before it takes all invocations; it needs `alarms`.",
            "{ weight = 0.1, minutes = 10 }",
            absent="a new version takes all invocations",
            table=CANARY,
        ),
        *(
            Key(key.name, key.type, key.meaning, key.example, absent="that of `[packages]`", choices=key.choices)
            for key in PACKAGING
        ),
    ),
)

FILE = Table(
    "",
    "The whole file.",
    (
        Key("pipeline", Type.TABLE, PIPELINE.meaning, "", required=True, table=PIPELINE),
        Key("buckets", Type.NAMED_TABLES, "The S3 buckets.", "", default={}, table=BUCKET, shorthand="name"),
        Key("alerts", Type.TABLE, ALERTS.meaning, "", required=True, table=ALERTS),
        Key("secrets", Type.NAMED_TABLES, "The database URLs.", "", default={}, table=SECRET),
        Key("functions", Type.NAMED_TABLES, "The Lambda functions.", "", required=True, table=FUNCTION),
        Key("alarms", Type.NAMED_TABLES, "The CloudWatch alarms.", "", default={}, table=ALARM),
        Key("packages", Type.TABLE, PACKAGES.meaning, "", default={}, table=PACKAGES),
        Key("source", Type.NAMED_TABLES, "The source tables.", "", default={}, table=SOURCE),
        Key(
            "warehouse",
            Type.NAMED_TABLES,
            "The warehouse tables.",
            "",
            required=True,
            table=WAREHOUSE,
            beside=MIRROR,
        ),
    ),
)
