"""Layers that exist: used by the ARN of a version, checked in the plan, never written and never deleted."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest

from lambda_script import LimitError, PackageError
from lambda_toolkit.aws.account import Place
from lambda_toolkit.deploy.deployer_policy import deployer_policy
from lambda_toolkit.spec.model import Deployment
from tests.support.sessions import REGION

ACCOUNT = "123456789012"  # moto's
TOOLS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:tools:1"


def publish(client, name: str = "tools", **more: object) -> str:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("python/tools.py", "VALUE = 1")
    answer = client("lambda").publish_layer_version(LayerName=name, Content={"ZipFile": content.getvalue()}, **more)
    return str(answer["LayerVersionArn"])


@pytest.fixture
def tools(client) -> Iterator[str]:
    yield publish(client)


def used(client) -> list[str]:
    return [
        item["Arn"] for item in client("lambda").get_function(FunctionName="my-function")["Configuration"]["Layers"]
    ]


def test_ready_layer_is_used_kept_changed_and_taken_away(script, client, tools, recorder) -> None:
    [change] = [item for item in script(layers=[tools]).deploy().done if item.kind == "function"]
    assert change.action == "create"
    assert used(client) == [tools]
    recorder.clear()
    assert not script(layers=[tools]).plan()
    assert recorder.calls.count("GetLayerVersion") == 1
    newer = publish(client)
    [change] = script(layers=[newer]).deploy().done
    assert [str(item) for item in change.differences] == [f"layers: {tools} -> {newer}"]
    assert used(client) == [newer]
    [change] = script().deploy().done
    assert [str(item) for item in change.differences] == [f"layers: {newer} -> none"]
    assert used(client) == []
    script(layers=[tools]).deploy()
    script(layers=[tools]).destroy()
    names = [item["LayerName"] for item in client("lambda").list_layers()["Layers"]]
    assert names == ["tools"], "a layer of others is never deleted"


def test_layer_that_does_not_exist_is_said_in_the_plan(script, client, recorder) -> None:
    missing = TOOLS.replace("tools:1", "tools:7")
    with pytest.raises(PackageError, match="tools:7 of `my-function` does not exist"):
        script(layers=[missing]).plan()
    assert recorder.writes == []


def test_layer_that_may_not_be_read_is_a_note(script, client, tools, recorder) -> None:
    recorder.refuse("GetLayerVersion", "AccessDeniedException", "no")
    [note] = [note for note in script(layers=[tools]).plan().notes if "cannot be read" in note]
    assert "lambda:GetLayerVersion" in note


def test_layer_for_something_else_is_a_note(script, client) -> None:
    other = publish(client, "other", CompatibleRuntimes=["python3.9"], CompatibleArchitectures=["arm64"])
    notes = [note for note in script(layers=[other]).plan().notes if "is made for" in note]
    found = [note.partition(" is made for ")[2].split(",")[0] for note in notes]
    assert found == ["Python python3.9", "architecture arm64"]


def test_what_a_ready_layer_has_is_not_missing(script, client, tools, tmp_path) -> None:
    source = tmp_path / "imports_tools.py"
    source.write_text("import tools\n\n\ndef lambda_handler(event, context):\n    return tools.VALUE\n")
    given = {"lambda_function_path": source}
    with pytest.raises(PackageError, match="`tools`"):
        script(**given).plan()
    assert script(layers=[tools], **given).plan()


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (["tools"], "not the ARN of a layer's version"),
        ([TOOLS.rpartition(":")[0]], "not the ARN of a layer's version"),
        ([TOOLS, TOOLS], "declared twice"),
        ([TOOLS.replace("tools", f"tools{number}") for number in range(6)], "6 layers are more than the 5"),
    ],
)
def test_layers_that_lambda_rejects_are_refused_before_a_call(script, layers, says) -> None:
    with pytest.raises(LimitError, match=says):
        script(layers=layers)


def test_deployer_may_read_declared_layers_alone(script) -> None:
    policy = deployer_policy(Deployment((script(layers=[TOOLS]).spec,)), Place(ACCOUNT, REGION))
    [statement] = [item for item in policy["Statement"] if item["Sid"] == "ReadyLayers"]
    assert (statement["Action"], statement["Resource"]) == (["lambda:GetLayerVersion"], [TOOLS])
