"""What AWS would reject is rejected before a call, with all problems in one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambda_toolkit.errors import LimitError
from lambda_toolkit.spec.model import Alarm, BucketSpec, FunctionSpec
from lambda_toolkit.spec.quotas import MIB, check_bucket, check_function, check_sizes, runtime_version

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
        ({"architecture": "arm"}, "x86_64 and arm64"),
        ({"memory": 127}, "outside 128 to 10240 MB"),
        ({"memory": 10241}, "outside 128 to 10240 MB"),
        ({"timeout": 0}, "outside 1 to 900 seconds"),
        ({"timeout": 901}, "outside 1 to 900 seconds"),
        ({"description": "x" * 257}, "257 characters"),
        ({"log_retention_days": 31}, "log_retention_days 31"),
        ({"environment": {"A": "x", "BIG": "x" * 4096}}, "the limit is 4096"),
        ({"environment": {"1A": ""}}, "`1A` cannot be the name"),
        ({"environment": {"AWS_REGION": "x"}}, "reserved by Lambda"),
        ({"environment": {"AWS_ACCESS_KEY_ID": "x"}}, "reserved by Lambda"),
        ({"tags": {"owner": "a, b"}}, "tag `owner`: AWS accepts"),
        ({"tags": {"k" * 129: ""}}, "keys of 128"),
        ({"tags": {"aws:made-by": "me"}}, "reserved by AWS"),
        ({"tags": {f"t{number}": "" for number in range(47)}}, "47 tags are more than 46"),
        ({"alarms": (Alarm("a", "Duration", statistic="p99"),)}, "statistic `p99` is not one of Average"),
        ({"alarms": (Alarm("a", "Errors", comparison=">="),)}, "comparison `>=`"),
        ({"alarms": (Alarm("a", "Errors", missing_data="ok"),)}, "missing_data `ok`"),
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
