"""Layers on AWS: published once, sent or uploaded, and deleted where no function uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws.client import Clock
from lambda_toolkit.changes import Change
from lambda_toolkit.errors import AwsError, PackageError
from lambda_toolkit.packaging.layer_zip import Layer, LayerSpec
from lambda_toolkit.resources.functions import layer, used_layers
from lambda_toolkit.spec.model import FunctionSpec, Kind
from tests.support.fake_time import FakeTime

DAY = 24 * 3600
NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
SPEC = LayerSpec(("b==1", "a"), "python3.12", "arm64", "aarch64-manylinux_2_34")


class Aws:
    """Lambda and S3 with answers, each once where a list is given."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.time = FakeTime()
        self.clock = Clock(self.time.now, self.time.sleep, random=lambda: 1.0, wall=lambda: NOW)

    @property
    def aws(self) -> Any:
        return self

    def once(self, key: object, read: Any) -> Any:
        return read()

    def all_functions(self) -> Any:
        return self.answers.get("all_functions", [])

    def call(self, service: str, operation: str, **given: Any) -> Any:
        self.asked.append((operation, given))
        answer = self.answers.get(operation)
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    find = call

    def list_all(self, service: str, operation: str, key: str, **given: Any) -> Any:
        self.asked.append((operation, given))
        return self.answers[key]

    list_existing = list_all

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [given for name, given in self.asked if name == operation]


def arn(name: str, version: int = 1) -> str:
    return f"arn:aws:lambda:eu-west-2:123456789012:layer:{name}:{version}"


def test_newest_version_of_a_layer_is_the_first_listed() -> None:
    versions = [{"LayerVersionArn": arn("l", 3)}, {"LayerVersionArn": arn("l", 2)}]
    aws: Any = Aws(list_layer_versions={"LayerVersions": versions})
    assert layer.version_arn(aws, "l") == arn("l", 3)
    assert aws.asked == [("list_layer_versions", {"LayerName": "l", "MaxItems": 1})]
    for answer in (None, {}, {"LayerVersions": []}):
        missing: Any = Aws(list_layer_versions=answer)
        assert layer.version_arn(missing, "l") is None
    assert layer.layer_name(arn("tools", 7)) == "tools"


def built(tmp_path: Path, size: int) -> Layer:
    (tmp_path / "layer.zip").write_bytes(b"zip")
    return Layer(tmp_path / "layer.zip", size, 2_000_000, ())


def published(content: dict[str, Any]) -> dict[str, Any]:
    return {
        "LayerName": SPEC.name,
        "Description": f"lambda_script {SPEC.digest}",
        "Content": content,
        "CompatibleRuntimes": ["python3.12"],
        "CompatibleArchitectures": ["arm64"],
    }


def test_layer_is_sent_or_uploaded_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "DIRECT_UPLOAD", 1_000_000)
    aws: Any = Aws()
    [change] = layer.plan(SPEC, built(tmp_path, 1_000_000), None)
    assert (change.details, change.after) == (("b==1, a", "1.0 MB zipped, 2.0 MB unzipped"), frozenset())
    change.apply(aws)
    assert aws.asked == [("publish_layer_version", published({"ZipFile": b"zip"}))]
    large: Any = Aws()
    [change] = layer.plan(SPEC, built(tmp_path, 1_000_001), "lake")
    assert change.after == {(Kind.BUCKET, "lake")}
    change.apply(large)
    key = f"lambda_script/{SPEC.name}.zip"
    assert large.asked == [
        ("put_object", {"Bucket": "lake", "Key": key, "Body": b"zip"}),
        ("publish_layer_version", published({"S3Bucket": "lake", "S3Key": key})),
    ]
    with pytest.raises(AwsError, match="too large to be sent directly: name an artifact_bucket"):
        layer.plan(SPEC, built(tmp_path, 1_000_001), None)[0].apply(large)


def test_unanswered_publication_is_repeated_where_none_is_listed() -> None:
    lost = AwsError("x", unanswered=True)
    given = {"LayerName": "l", "Content": {}}
    listed: Any = Aws(publish_layer_version=[lost], list_layer_versions={"LayerVersions": [{"LayerVersionArn": "a"}]})
    layer._publish(listed, **given)
    assert listed.of("publish_layer_version") == [given]
    assert len(listed.time.pauses) == 1
    unlisted: Any = Aws(publish_layer_version=[lost, {}])
    layer._publish(unlisted, **given)
    assert unlisted.of("publish_layer_version") == [given] * 2
    refused: Any = Aws(publish_layer_version=[AwsError("no")])
    with pytest.raises(AwsError, match=r"^no$"):
        layer._publish(refused, **given)


OWN = "lambda-script-requirements-"
FUNCTIONS = [
    {"FunctionName": "f", "Layers": [{"Arn": arn(f"{OWN}1")}]},
    {"FunctionName": "g", "Layers": [{"Arn": arn(f"{OWN}2")}, {"Arn": arn("tools")}]},
    {"FunctionName": "h", "Layers": None},
]


def test_layer_is_deleted_where_no_other_function_uses_it() -> None:
    aws: Any = Aws(all_functions=FUNCTIONS, LayerVersions=[{"Version": 2}, {"Version": 1}])
    names = [f"{OWN}3", f"{OWN}1", f"{OWN}2", "tools", f"{OWN}1"]
    found = layer.plan_removal(aws, names, {"f"}, ["f"])
    assert [change.name for change in found] == [f"{OWN}1", f"{OWN}3"]
    assert {change.after for change in found} == {frozenset({(Kind.FUNCTION, "f")})}
    found[0].apply(aws)
    assert aws.of("delete_layer_version") == [{"LayerName": f"{OWN}1", "VersionNumber": number} for number in (2, 1)]
    assert [change.name for change in layer.plan_removal(aws, names, set())] == [f"{OWN}3"]
    assert layer.plan_removal(aws, ["tools"], set()) == []


def test_function_is_deleted_after_its_layers() -> None:
    def change(kind: Kind, name: str, action: Any) -> Change:
        return Change(kind, name, action, apply=lambda _: None)

    layers = [change(Kind.LAYER, "l", "delete")]
    deleted, updated, alarm = layer.before_deletions(
        [
            change(Kind.FUNCTION, "f", "delete"),
            change(Kind.FUNCTION, "g", "update"),
            change(Kind.ALARM, "a", "delete"),
        ],
        layers,
    )
    assert deleted.after == {(Kind.LAYER, "l")}
    assert updated.after == alarm.after == frozenset()


@pytest.mark.parametrize(
    ("name", "created", "orphan"),
    [
        (f"{OWN}9", "2027-01-14T07:59:59.000+0000", True),
        (f"{OWN}9", "2027-01-14T08:00:00.000+0000", False),
        (f"{OWN}9", "2027-01-14T10:59:59.000+0300", True),
        (f"{OWN}9", "yesterday", False),
        (f"{OWN}9", None, False),
        (f"{OWN}2", "2026-01-01T00:00:00.000+0000", False),
        ("tools", "2026-01-01T00:00:00.000+0000", False),
    ],
)
def test_orphaned_layer_is_older_than_a_day_and_unused(name: str, created: str | None, orphan: bool) -> None:
    newest = {"LatestMatchingVersion": {"CreatedDate": created}} if created else {}
    aws: Any = Aws(all_functions=FUNCTIONS, Layers=[{"LayerName": name, **newest}])
    assert layer.orphaned(aws) == ([name] if orphan else [])


READY = arn("tools", 3)


@pytest.mark.parametrize(
    ("answer", "notes"),
    [
        ({}, []),
        ({"CompatibleRuntimes": ["python3.12"], "CompatibleArchitectures": ["arm64", "x86_64"]}, []),
        ({"CompatibleRuntimes": ["python3.11", "python3.13"]}, ["for Python python3.11, python3.13, and the function"]),
        ({"CompatibleArchitectures": ["arm64"]}, ["for architecture arm64, and the function has x86_64"]),
        (AwsError("x", code="AccessDenied"), ["cannot be read: it needs lambda:GetLayerVersion"]),
    ],
)
def test_ready_layer_is_looked_at(answer: Any, notes: list[str]) -> None:
    aws: Any = Aws(get_layer_version=answer)
    spec = FunctionSpec("f", Path("f.py"), runtime="python3.12", layers=(READY,))
    found = used_layers.check(aws, spec)
    assert len(found) == len(notes)
    assert all(said in note for said, note in zip(notes, found, strict=True))
    assert aws.asked == [("get_layer_version", {"LayerName": READY[:-2], "VersionNumber": 3})]
    missing: Any = Aws()
    with pytest.raises(PackageError, match=f"The layer {READY} of `f` does not exist"):
        used_layers.check(missing, spec)
    failing: Any = Aws(get_layer_version=AwsError("x", code="Other"))
    with pytest.raises(AwsError):
        used_layers.check(failing, spec)
