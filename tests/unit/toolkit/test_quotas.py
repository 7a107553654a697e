"""What AWS would reject is rejected before a call, with all problems in one error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from botocore.loaders import Loader

from lambda_toolkit.errors import LimitError
from lambda_toolkit.spec import service_model
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.limits.quotas import (
    DIRECT_UPLOAD,
    MIB,
    UNZIPPED,
    check_bucket,
    check_function,
    check_sizes,
    function_doubts,
    runtime_version,
)
from lambda_toolkit.spec.model import Alarm, Canary, FunctionSpec
from lambda_toolkit.spec.triggers.s3 import S3Trigger

LARGEST = [("pyarrow", 120 * MIB), ("numpy", 40 * MIB)]


def spec(**different: object) -> FunctionSpec:
    return FunctionSpec(**{"name": "f", "source": Path("f.py"), **different})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("different", "says"),
    [
        ({"name": "no spaces"}, "its name must be"),
        ({"name": "x" * 65}, "its name must be"),
        ({"runtime": "python2.7"}, "`python2.7` is not one of Lambda's"),
        ({"runtime": "3.12"}, "write it like python3.12"),
        ({"architecture": "arm"}, "architecture `arm` is not one of x86_64 and arm64"),
        ({"memory": 127}, "memory 127 is outside 128 to "),
        ({"memory": 10**6}, "memory 1000000 is outside 128 to "),
        ({"timeout": 0}, "timeout 0 is outside 1 to "),
        ({"timeout": 10**6}, "timeout 1000000 is outside 1 to "),
        ({"runtime": "python3.99"}, "python3.9, python3.10"),
        ({"s3_triggers": (S3Trigger("lake", prefix="x" * 1025),)}, "its trigger's prefix has 1025 bytes"),
        ({"s3_triggers": (S3Trigger("lake", suffix="é" * 513),)}, "its trigger's suffix has 1026 bytes"),
        ({"s3_triggers": (S3Trigger("lake", events=("s3:ObjectRead:*",)),)}, "`s3:ObjectRead:*` is not an event of S3"),
        ({"alarms": (Alarm("", "Errors"),)}, "must not be empty"),
        ({"alarms": (Alarm("a", "Errors", namespace=":x"),)}, "must not begin with a colon"),
        (
            {"alarms": (Alarm("a", "E", dimensions={f"d{n}": "x" for n in range(31)}),)},
            "31 dimensions; the limit is 30",
        ),
        ({"alarms": (Alarm("a", "E", dimensions={"d" * 256: "x"}),)}, "the name of a dimension has 256 characters"),
        ({"alarms": (Alarm("a", "E", dimensions={"d": "x" * 1025}),)}, "dimension `d` has 1025 characters"),
        ({"alarms": (Alarm("a", "E", dimensions={"d": " "}),)}, "a dimension needs a name"),
        ({"description": "x" * 257}, "257 characters"),
        ({"log_retention_days": 31}, "log_retention_days 31"),
        ({"environment": {"A": "x", "BIG": "x" * 4096}}, "the limit is 4096"),
        ({"environment": {"1A": ""}}, "`1A` cannot be the name"),
        ({"environment": {"AB-C": ""}}, "`AB-C` cannot be the name"),
        ({"environment": {"AWS_REGION": "x"}}, "reserved by Lambda"),
        ({"environment": {"AWS_ACCESS_KEY_ID": "x"}}, "reserved by Lambda"),
        ({"tags": {"owner": "a, b"}}, "tag `owner`: AWS accepts"),
        ({"tags": {"k" * 129: ""}}, "keys of 128"),
        ({"tags": {"aws:made-by": "me"}}, "reserved by AWS"),
        ({"tags": {f"t{number}": "" for number in range(47)}}, "47 tags are more than 46"),
        ({"alarms": (Alarm("a", "Duration", statistic="p99"),)}, "statistic `p99` is not one of Average"),
        ({"alarms": (Alarm("a", "Errors", comparison=">="),)}, "comparison `>=`"),
        ({"alarms": (Alarm("a", "Errors", missing_data="ok"),)}, "missing_data `ok`"),
        ({"alarms": (Alarm("a", "Errors", expression="RATE(m)"),)}, "expression `RATE(m)`: the function RATE is not"),
        ({"alarms": (Alarm("a", "Errors", datapoints_to_alarm=2),)}, "datapoints_to_alarm 2 is not from 1 to 1"),
        ({"alarms": (Alarm("a", "E", datapoints_to_alarm=0, evaluation_periods=3),)}, "datapoints_to_alarm 0 is not"),
        (
            {"alarms": (Alarm("a", "Errors", notify_on_insufficient_data=True),)},
            "notify_on_insufficient_data needs missing_data `missing`",
        ),
        ({"alarms": (Alarm("a", "Errors", period=60, evaluation_periods=1441),)}, "1441 periods of 60 s"),
        ({"alarms": (Alarm("a", "Errors", evaluation_periods=0),)}, "0 periods"),
        ({"permissions": [{"Resource": "x" * 10_000}]}, "limit of a role's policy"),
        ({"alarms": (Alarm("a", "Errors"), Alarm("a", "Throttles"))}, "two alarms are called `a`"),
        ({"alarms": (Alarm("a", "Errors", period=45),)}, "period 45"),
    ],
)
def test_limits(different: dict[str, object], says: str) -> None:
    with pytest.raises(LimitError) as refused:
        check_function(spec(**different))
    assert says in str(refused.value)


def test_the_edges_are_inside() -> None:
    check_function(spec(name="x" * 64, memory=128, timeout=900, description="x" * 256, log_retention_days=3653))
    check_function(spec(alarms=(Alarm("a", "Errors", period=3600, evaluation_periods=168),)))
    check_function(spec(environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}, tags={"Straße": "a b_.:/=+-@"}))
    check_function(spec(memory=10_240, timeout=1, environment={"AB": "x" * 4000}, runtime="python3.14"))
    widest = Alarm(
        "a", "E", namespace="own", dimensions={"d" * 255: "v" * 1024, **{f"d{number}": "x" for number in range(29)}}
    )
    whole = spec(alarms=(widest,), s3_triggers=(S3Trigger("lake", prefix="x" * 1024, suffix="y" * 1024),))
    check_function(whole)
    assert function_doubts(whole) == []


def test_value_within_the_documented_limits_reads_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_model, "_shapes", lambda service: pytest.fail(f"the model of {service} was read"))
    check_function(
        spec(memory=10_240, timeout=900, runtime="python3.9", alarms=ERRORS, s3_triggers=(S3Trigger("abc"),))
    )


def test_what_the_model_of_aws_allows_too_is_left_to_aws() -> None:
    """The ends of the ranges are those of the botocore that is installed, whichever that is."""
    shapes = Loader().load_service_model("lambda", "service-2")["shapes"]
    for name, shape, documented in (("timeout", "Timeout", 900), ("memory", "MemorySize", 10_240)):
        largest = shapes[shape]["max"]
        if largest == documented:
            continue
        for value in (documented + 1, largest):
            [doubt] = function_doubts(spec(**{name: value}))
            assert re.search(rf"^{name} {value} is more than the {documented} .*botocore [\d.]+ has it, so AWS", doubt)
            check_function(spec(**{name: value}))
        assert function_doubts(spec(**{name: largest + 1})) == []
        with pytest.raises(LimitError, match=rf"{name} {largest + 1} is outside \d+ to {largest} "):
            check_function(spec(**{name: largest + 1}))
    runtimes = {name for name in shapes["Runtime"]["enum"] if re.fullmatch(r"python3\.(9|\d\d)", name)}
    for minor in range(9, 40):
        runtime = f"python3.{minor}"
        if runtime not in runtimes:
            with pytest.raises(LimitError, match=f"`{runtime}` is not one of Lambda's: .* update boto3"):
                check_function(spec(runtime=runtime))
            continue
        check_function(spec(runtime=runtime))
        assert len(function_doubts(spec(runtime=runtime))) == (minor > 14)
        assert runtime_version(runtime) == (3, minor)
    restored = S3Trigger("lake", events=("s3:ObjectRestore:Completed",))
    [doubt] = function_doubts(spec(s3_triggers=(restored,)))
    assert "event `s3:ObjectRestore:Completed` is not among those of" in doubt


ERRORS = (Alarm("a", "Errors"),)
SHORT = (Alarm("a", "Errors", period=30),)
SILENT = Alarm("s", "Invocations", period=900, missing_data="missing", notify_on_insufficient_data=True)


@pytest.mark.parametrize(
    ("inside", "beyond"),
    [
        ({"tags": {"k" * 128: "v" * 256}}, {"tags": {"k": "v" * 257}}),
        ({"tags": {f"t{number}": "" for number in range(46)}}, {"tags": {"": "v"}}),
        ({"environment": {"AB": "x" * 4087}}, {"environment": {"AB": "x" * 4088}}),
        ({"environment": {"AB": "é" * 2043}}, {"environment": {"AB": "é" * 2044}}),
        ({"alarms": (Alarm("a", "E", period=60, evaluation_periods=1440),)}, {"alarms": (Alarm("a", "E", period=0),)}),
        (
            {"alarms": (Alarm("a", "E", period=3600, evaluation_periods=168),)},
            {"alarms": (Alarm("a", "E", period=3600, evaluation_periods=169),)},
        ),
        ({"alarms": (Alarm("a", "E", period=3540, evaluation_periods=24),)}, {"alarms": (Alarm("a", "E", period=40),)}),
        ({"permissions": [{"R": "x" * 9730}]}, {"permissions": [{"R": "x" * 9731}]}),
        ({"runtime": "python3.9"}, {"runtime": "python3.8"}),
        ({"runtime": "python3.14"}, {"runtime": "python3.100"}),
        ({"canary": Canary(0.01, 60), "alarms": ERRORS}, {"canary": Canary(0.0, 60), "alarms": ERRORS}),
        ({"canary": Canary(0.99, 1), "alarms": ERRORS}, {"canary": Canary(1.0, 1), "alarms": ERRORS}),
        ({"canary": Canary(0.5, 0.5), "alarms": SHORT}, {"canary": Canary(0.5, 0), "alarms": SHORT}),
        ({"alarms": (Alarm("a" * 253, "E"),)}, {"alarms": (Alarm("a" * 254, "E"),)}),
        ({"alarms": (Alarm("a", "E" * 255),)}, {"alarms": (Alarm("a", "E" * 256),)}),
        (
            {"alarms": (Alarm("a", "E", description="d" * 1024),)},
            {"alarms": (Alarm("a", "E", description="d" * 1025),)},
        ),
        ({"canary": Canary(0.5, 1), "alarms": ERRORS}, {"canary": Canary(0.5, 0.9), "alarms": ERRORS}),
        ({"canary": Canary(0.5, 1), "alarms": (*ERRORS, SILENT)}, {"canary": Canary(0.5, 60), "alarms": (SILENT,)}),
        ({"health_event": {"a": 1}}, {"health_event": {"a": float("nan")}}),
        ({"canary": Canary(0.5, 60), "alarms": ERRORS}, {"canary": Canary(0.5, 61), "alarms": ERRORS}),
        ({"canary": Canary(0.5, 60), "alarms": ERRORS}, {"canary": Canary(0.5, 60)}),
        (
            {"s3_triggers": (S3Trigger("my-lake", events=("s3:ObjectCreated:*", "s3:ObjectRemoved:Delete")),)},
            {"s3_triggers": (S3Trigger("my-lake", events=("s3:ObjectCreated:?",)),)},
        ),
        ({"s3_triggers": (S3Trigger("abc"),)}, {"s3_triggers": (S3Trigger("ab"),)}),
    ],
)
def test_each_limit_is_exact(inside: dict[str, object], beyond: dict[str, object]) -> None:
    check_function(spec(**inside))
    with pytest.raises(LimitError):
        check_function(spec(**beyond))


def test_values_are_those_that_aws_documents() -> None:
    """What botocore knows of the services, which comes from AWS."""
    models = Loader()
    shapes = {name: models.load_service_model(name, "service-2")["shapes"] for name in ("logs", "cloudwatch", "lambda")}
    days = re.findall(r"\b\d+\b", shapes["logs"]["Days"]["documentation"].partition("</p>")[0])
    assert len(days) > 20
    for day in map(int, days):
        check_function(spec(log_retention_days=day))
    cloudwatch = shapes["cloudwatch"]
    for statistic in cloudwatch["Statistic"]["enum"]:
        check_function(spec(alarms=(Alarm("a", "E", statistic=statistic),)))
    for comparison in cloudwatch["ComparisonOperator"]["enum"]:
        if comparison.endswith("Threshold") and not comparison.endswith(("LowerThreshold", "UpperThreshold")):
            check_function(spec(alarms=(Alarm("a", "E", comparison=comparison),)))
    for architecture in shapes["lambda"]["Architecture"]["enum"]:
        check_function(spec(architecture=architecture))
    for missing in ("breaching", "ignore", "missing", "notBreaching"):
        check_function(spec(alarms=(Alarm("a", "E", missing_data=missing),)))
    for period in (10, 20, 30, 60, 120):
        check_function(spec(alarms=(Alarm("a", "E", period=period),)))


RESERVED = """
    AWS_REGION AWS_DEFAULT_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_NAME AWS_LAMBDA_FUNCTION_MEMORY_SIZE
    AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME
    AWS_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_LAMBDA_RUNTIME_API LAMBDA_TASK_ROOT
    LAMBDA_RUNTIME_DIR
"""
"""The reserved environment variables of Lambda's developer guide, "Defined runtime environment variables"."""


def test_variables_that_lambda_reserves_are_refused() -> None:
    for name in RESERVED.split():
        with pytest.raises(LimitError, match=f"`{name}` is reserved by Lambda"):
            check_function(spec(environment={name: "x"}))


def test_packages_up_to_lambdas_limits() -> None:
    """50 MiB for the request that uploads a zip, with room for the rest of it; 250 MiB unzipped."""
    assert 50 * 2**20 - 10_000 < DIRECT_UPLOAD < 50 * 2**20
    assert UNZIPPED == 250 * 2**20
    check_sizes(spec(), 250 * 2**20, LARGEST)
    with pytest.raises(LimitError):
        check_sizes(spec(), 250 * 2**20 + 1, LARGEST)


def test_all_exceeded_limits_are_reported_together() -> None:
    with pytest.raises(LimitError, match="memory 1 .*timeout 0"):
        check_function(spec(memory=1, timeout=0))


def test_sizes() -> None:
    check_sizes(spec(), 250 * MIB, LARGEST)
    with pytest.raises(
        LimitError, match=r"251 MiB unzipped.*pyarrow 120\.0 MiB, numpy 40\.0 MiB.*requirements_exclude"
    ):
        check_sizes(spec(), 251 * MIB, LARGEST)


def test_runtime_versions() -> None:
    assert runtime_version("python3.9") < runtime_version("python3.11")
    with pytest.raises(LimitError, match="nodejs20"):
        runtime_version("nodejs20.x")


@pytest.mark.parametrize("name", ["ab", "x" * 64, "UPPER", "under_score", "-begins", "ends.", "two..dots"])
def test_a_bucket_name_that_s3_refuses_is_refused_here(name):
    with pytest.raises(LimitError, match="its name must be 3 to 63 lower-case"):
        check_bucket(BucketSpec(name))


def test_a_bucket_name_that_s3_takes_passes():
    check_bucket(BucketSpec("totes-dev-ingestion-123456789012"))
