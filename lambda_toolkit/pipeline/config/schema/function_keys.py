"""The keys of ``pipeline.toml`` about functions and what is packaged with them.

See :mod:`.keys` for what is made of them.
"""

from __future__ import annotations

from lambda_script import UNRESERVED, Canary, FunctionSpec, Vpc
from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type
from lambda_toolkit.pipeline.config.schema.schedule_keys import SCHEDULING
from lambda_toolkit.pipeline.config.schema.trigger_keys import TRIGGERS

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
    Key(
        "provided_modules",
        Type.STRINGS,
        "Modules that functions find although the check of imports does not "
        "([packages](packages.md#the-check-of-imports)). `*`: imports are not checked.",
        '["torch"]',
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

SETTINGS = (
    Key(
        "ephemeral_storage",
        Type.INTEGER,
        "MB of `/tmp`, 512 to 10240. 0: Lambda's default, 512.",
        "1024",
        absent="not managed",
    ),
    Key(
        "tracing",
        Type.STRING,
        "`Active`: AWS X-Ray traces a share of the invocations. An empty string: those that the caller traces.",
        '"Active"',
        absent="not managed",
        choices=("Active", "PassThrough", ""),
    ),
    Key(
        "kms_key",
        Type.STRING,
        "The ARN of the KMS key that encrypts the environment variables. An empty string: AWS's own key.",
        '"arn:aws:kms:eu-west-2:123456789012:key/1234abcd"',
        absent="not managed",
    ),
    Key(
        "snapstart",
        Type.BOOLEAN,
        "Whether versions start from a snapshot of their initialized environment (Python 3.12 or later; priced).",
        "true",
        absent="not managed",
    ),
)
LOGGING = (
    Key(
        "log_format",
        Type.STRING,
        "The format of the lines that Lambda itself writes to the log: `Text` or `JSON`. An empty string: Text.",
        '"JSON"',
        absent="not managed",
        choices=("Text", "JSON", ""),
    ),
    Key(
        "log_level",
        Type.STRING,
        "With `JSON`: the least level of the function's own lines that is kept, `TRACE` to `FATAL`. Metrics are put "
        "whatever it is. An empty string: INFO.",
        '"WARN"',
        absent="not managed",
    ),
    Key(
        "system_log_level",
        Type.STRING,
        "With `JSON`: the least level of Lambda's own lines that is kept, `DEBUG`, `INFO` or `WARN`. An empty string: "
        "INFO.",
        '"WARN"',
        absent="not managed",
    ),
    Key(
        "log_group",
        Type.STRING,
        "The log group that the log goes to, which exists: nothing of it is written or removed. An empty string: the "
        "function's own, `/aws/lambda/<function>`.",
        '"/{name}/{stage}"',
        absent="not managed",
    ),
)

_NETWORK = (
    Key(
        "subnets",
        Type.STRINGS,
        "The ids of subnets, up to 16, all in one VPC.",
        '["subnet-0a1b2c3d", "subnet-1b2c3d4e"]',
        default=(),
    ),
    Key(
        "security_groups",
        Type.STRINGS,
        "The ids of security groups in that VPC, up to 5.",
        '["sg-0a1b2c3d"]',
        default=(),
    ),
    Key(
        "ipv6",
        Type.BOOLEAN,
        "Whether functions use IPv6, too, and AWS's dual-stack endpoints. Each subnet needs an IPv6 block.",
        "true",
        default=Vpc.ipv6,
    ),
)
VPC = Table(
    "vpc",
    "The private network that all functions are attached to ([private networks](networks.md)). With empty lists they "
    "are detached. The local stack has no network.",
    _NETWORK,
)
FUNCTION_VPC = Table(
    "functions.<name>.vpc",
    "The private network of one function. `vpc = {}` detaches it.",
    _NETWORK,
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
        *SCHEDULING,
        Key(
            "s3_trigger",
            Type.TABLES,
            "The objects that start it. An empty list removes its triggers.",
            '{ bucket = "ingestion", prefix = "manifests/" }',
            absent="not managed",
            table=TRIGGER,
        ),
        Key(
            "topic_trigger",
            Type.STRINGS,
            "The SNS topics whose messages start it: `alarms` or `alerts`, those of `[alerts]`, or another topic's "
            "name or ARN. A function that `alarms` starts may publish to `alerts`, and read the states of alarms and "
            "the logs of functions that have some. An empty list ends its subscriptions.",
            '["alarms"]',
            absent="not managed",
        ),
        *TRIGGERS,
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
        Key(
            "secret",
            Type.STRING_OR_STRINGS,
            "The secret that its role may read, by its name in `[secrets]`, or a list of several.",
            '"source"',
        ),
        Key(
            "on_failure",
            Type.STRING,
            "The ARN of the queue, topic, bucket, event bus or function that gets events which failed for good "
            "([events](deploying.md#events-that-fail)), or the name of a bucket in `[buckets]`. An empty text removes "
            "it.",
            '"arn:aws:sqs:{region}:{account}:failed"',
            absent="not managed; of extract, transform, load, notifier and freshness: `failed`",
        ),
        Key(
            "retries",
            Type.INTEGER,
            "How often Lambda repeats an event that failed, 0 to 2.",
            "1",
            absent="not managed; Lambda's own is 2",
        ),
        Key(
            "max_event_age",
            Type.INTEGER,
            "Seconds that Lambda keeps an event which it cannot deliver, 60 to 21600.",
            "3600",
            absent="not managed; Lambda's own is 21600",
        ),
        Key(
            "concurrency",
            Type.INTEGER_OR_STRING,
            "How many invocations run at most at a time, reserved for it in the account; `unreserved` removes that.",
            "1",
            absent="not managed",
            choices=(UNRESERVED,),
        ),
        Key(
            "layers",
            Type.STRINGS,
            "The ARNs of versions of layers that exist ([packages](packages.md#layers-that-exist)); `[]` in a stage "
            "where they do not, such as `local`.",
            '["arn:aws:lambda:eu-west-2:123456789012:layer:tools:3"]',
            default=(),
        ),
        Key(
            "provisioned_concurrency",
            Type.INTEGER,
            "How many environments are initialized before events come ([prices](deploying.md#ready-before-an-event)). "
            "0 removes them.",
            "1",
            absent="not managed",
        ),
        Key(
            "recursive_loop",
            Type.STRING,
            "What Lambda does where the function starts itself again and again, by a queue, a topic or a bucket: "
            "`Terminate`, or `Allow`. An empty text: `Terminate`.",
            '"Allow"',
            absent="not managed; Lambda's own is `Terminate`",
            choices=("Allow", "Terminate", ""),
        ),
        Key(
            "role",
            Type.STRING,
            "The ARN of an execution role that exists ([permissions](permissions.md#a-role-that-is-given)); nothing of "
            "IAM is then read or written.",
            '"arn:aws:iam::{account}:role/report"',
            absent="the deploy creates one",
        ),
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
        Key(
            "vpc",
            Type.TABLE,
            "The private network that it is attached to ([private networks](networks.md)). `{}` detaches it.",
            "{}",
            absent="that of `[vpc]`",
            table=FUNCTION_VPC,
        ),
        *SETTINGS,
        *(
            Key(key.name, key.type, key.meaning, key.example, absent="that of `[pipeline]`", choices=key.choices)
            for key in LOGGING
        ),
        *(
            Key(key.name, key.type, key.meaning, key.example, absent="that of `[packages]`", choices=key.choices)
            for key in PACKAGING
        ),
    ),
)
