"""Requirements as layers: published once, shared, reused by name, deleted when no function uses them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lambda_script import Lambda_script, LimitError, PackageError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.packaging.archive import Entry, write_archive
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.layer_zip import LAYER_PREFIX, LayerSpec
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.limits import quotas
from lambda_toolkit.spec.model import THIS_RUNTIME, Deployment


@pytest.fixture(autouse=True)
def installs(monkeypatch) -> list[LayerSpec]:
    """Installing is tested beside the packages; here it writes one module."""
    installed: list[LayerSpec] = []

    def install(spec: LayerSpec, target: Path) -> None:
        installed.append(spec)
        target.mkdir()
        (target / "one.py").write_text("x = 1\n", encoding="utf-8")

    monkeypatch.setattr("lambda_toolkit.packaging.layer_zip._install", install)
    return installed


def layers(client) -> list[str]:
    return [layer["LayerName"] for layer in client("lambda").list_layers()["Layers"]]


def test_a_layer_is_published_before_its_function(script, client, recorder) -> None:
    report = script(requirements=["one"]).deploy()
    order = [change.kind for change in report.done]
    assert order.index("layer") < order.index("function")
    [used] = client("lambda").get_function(FunctionName="my-function")["Configuration"]["Layers"]
    assert LAYER_PREFIX in used["Arn"]
    recorder.clear()
    assert script(requirements=["one  # the same"]).deploy().done == ()
    assert recorder.writes == []


def test_imports_that_fail_stop_a_deploy_before_it_writes(script, source, recorder) -> None:
    """What the layer has is there; what nothing has is an error of the plan, or a note where it may never run."""
    code = "import one\n{}\ndef lambda_handler(event, context):\n    import three\n"
    source.write_text(code.format("import two"), encoding="utf-8")
    for call in (script(requirements=["one"]).plan, script(requirements=["one"]).deploy):
        with pytest.raises(
            PackageError, match=r"line 2: `import two` fails on Lambda: .* `two` to `requirements`"
        ) as got:
            call()
        assert "import one" not in str(got.value)
    assert recorder.writes == []
    [note] = script(requirements=["one"], provided_modules=["two"]).plan().notes
    assert "line 4: `import three` fails on Lambda, if it runs" in note
    source.write_text(code.format("").replace("import three", "pass"), encoding="utf-8")
    assert script(requirements=["one"]).plan().notes == ()


def test_an_edited_handler_leaves_the_layer(script, source, recorder, installs) -> None:
    script(requirements=["one"]).deploy()
    source.write_text("def lambda_handler(event, context):\n    return 'new'\n", encoding="utf-8")
    recorder.clear()
    script(requirements=["one"]).deploy()
    assert recorder.writes == ["UpdateFunctionCode", "UpdateAlias"]
    assert len(installs) == 1


def test_functions_with_the_same_requirements_share_one(aws, script, recorder, client, installs) -> None:
    names = ("a", "b", "c")
    functions = tuple(script(function_name_template=name, requirements=["one"]).spec for name in names)
    assert execute(aws, make_plan(aws, Deployment(functions))).ok
    assert recorder.writes.count("PublishLayerVersion") == 1
    assert len(layers(client)) == len(installs) == 1


def test_what_was_published_from_elsewhere_is_reused(script, client, recorder, installs, tmp_path, monkeypatch) -> None:
    script(function_name_template="first", requirements=["one"]).deploy()
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(tmp_path / "another machine"))
    recorder.clear()
    script(function_name_template="second", requirements=["one"]).deploy()
    assert "PublishLayerVersion" not in recorder.writes
    assert len(installs) == 1


def test_changed_requirements_replace_the_layer(script, client, recorder) -> None:
    script(requirements=["one"]).deploy()
    [before] = layers(client)
    recorder.clear()
    report = script(requirements=["two"]).deploy()
    released = ["UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"]
    assert recorder.writes == ["PublishLayerVersion", *released, "DeleteLayerVersion"]
    assert ("layer", before, "delete") in [(change.kind, change.name, change.action) for change in report.done]
    [after] = layers(client)
    assert after != before
    assert not script(requirements=["two"]).plan()


def test_a_layer_that_another_function_uses_stays(script, client) -> None:
    for name in ("a", "b"):
        script(function_name_template=name, requirements=["one"]).deploy()
    script(function_name_template="a").deploy()
    assert len(layers(client)) == 1
    script(function_name_template="b", requirements=["one"]).destroy()
    assert layers(client) == []


def test_two_functions_that_leave_a_layer_together_remove_it(aws, script, client) -> None:
    def deployment(requirement: str) -> Deployment:
        return Deployment(
            tuple(script(function_name_template=name, requirements=[requirement]).spec for name in ("a", "b"))
        )

    assert execute(aws, make_plan(aws, deployment("one"))).ok
    [before] = layers(client)
    assert execute(aws, make_plan(aws, deployment("two"))).ok
    assert before not in layers(client)
    assert len(layers(client)) == 1


def test_a_large_layer_goes_through_the_artifact_bucket(aws, script, client, monkeypatch) -> None:
    for module in (
        "lambda_toolkit.spec.limits.quotas",
        "lambda_toolkit.resources.functions.layer",
        "lambda_toolkit.resources.functions.function",
    ):
        monkeypatch.setattr(f"{module}.DIRECT_UPLOAD", 10)
    bucket = BucketSpec("artifacts")
    spec = script(requirements=["one"], artifact_bucket="artifacts").spec
    deployment = Deployment((spec,), buckets=(bucket,))
    assert execute(aws, make_plan(aws, deployment)).ok
    keys = {item["Key"] for item in client("s3").list_objects_v2(Bucket="artifacts")["Contents"]}
    assert {key.rpartition(".")[2] for key in keys} == {"zip"}
    assert len(keys) == 2
    assert not make_plan(aws, deployment)


def test_where_no_bucket_is_named_the_toolkit_makes_its_own(script, client, monkeypatch) -> None:
    for module in (
        "lambda_toolkit.spec.limits.quotas",
        "lambda_toolkit.resources.functions.layer",
        "lambda_toolkit.resources.functions.function",
    ):
        monkeypatch.setattr(f"{module}.DIRECT_UPLOAD", 10)
    report = script(requirements=["one"]).deploy()
    made = [change.name for change in report.done if change.kind == "bucket"]
    assert made == ["lambda-script-123456789012-eu-west-2"]
    assert client("s3").get_public_access_block(Bucket=made[0])["PublicAccessBlockConfiguration"]["BlockPublicAcls"]
    assert len(client("s3").list_objects_v2(Bucket=made[0])["Contents"]) == 2
    assert not script(requirements=["one"]).plan()


def test_layer_without_bytecode_is_used_until_one_is_compiled(script, client, monkeypatch) -> None:
    other = "python3.13" if THIS_RUNTIME != "python3.13" else "python3.12"

    def compilers(found: bool) -> None:
        monkeypatch.setattr(
            "lambda_toolkit.packaging.bytecode.find_interpreter",
            lambda runtime: Path(sys.executable) if found else None,
        )

    def used() -> str:
        [layer] = client("lambda").get_function(FunctionName="my-function")["Configuration"]["Layers"]
        return layer["Arn"].split(":")[6]

    compilers(found=False)
    wanted = script(requirements=["one"], runtime=other)
    plan = wanted.plan()
    assert f"there is no Python {other.removeprefix('python')} on this machine" in plan.notes[0]
    wanted.deploy()
    without = used()
    assert not wanted.plan()
    compilers(found=True)
    wanted.deploy()
    assert used() != without
    assert layers(client) == [used()]
    with_bytecode = used()
    compilers(found=False)
    assert "layer" not in [change.kind for change in wanted.plan().changes]
    assert used() == with_bytecode


def test_unzipped_size_above_quota_is_refused_before_any_write(script, recorder, monkeypatch) -> None:
    """Too large unzipped is refused before anything is written."""
    monkeypatch.setattr(quotas, "UNZIPPED", 10)
    with pytest.raises(LimitError, match=r"The largest parts: .*one\.py"):
        script(requirements=["one"]).deploy()
    assert recorder.writes == []


def test_a_layer_that_is_there_already_counts_too(script, recorder, monkeypatch) -> None:
    script(requirements=["one"]).deploy()
    recorder.clear()
    monkeypatch.setattr(quotas, "UNZIPPED", build(script().spec).unzipped + 1)
    assert not script().plan().notes, "the function alone is small enough"
    with pytest.raises(LimitError, match="The largest parts: .*one"):
        script(requirements=["one"]).deploy()
    assert recorder.writes == []


def test_a_requirements_file(script, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("one\n", encoding="utf-8")
    made: Lambda_script = script(requirements=file)
    assert made.spec.requirements == ("one",)


def test_layer_is_stable_with_and_without_a_compiler(script, client, recorder, monkeypatch) -> None:
    """Machines with and without a compiler do not undo each other."""
    other = "python3.13" if THIS_RUNTIME != "python3.13" else "python3.12"

    def live() -> str:
        return client("lambda").get_function(FunctionName="my-function")["Configuration"]["CodeSha256"]

    def deploy(compiles: bool, **different: object) -> list[str]:
        monkeypatch.setattr(
            "lambda_toolkit.packaging.bytecode.find_interpreter",
            lambda runtime: Path(sys.executable) if compiles else None,
        )
        recorder.clear()
        script(runtime=other, **different).deploy()
        return recorder.writes

    deploy(compiles=False)
    bare = live()
    assert deploy(compiles=False) == []
    assert "UpdateFunctionCode" in deploy(compiles=True), "it adds the bytecode"
    compiled = live()
    assert compiled != bare
    assert deploy(compiles=False) == [], "it leaves the bytecode alone"
    assert "UpdateFunctionCode" not in deploy(compiles=False, memory=256)
    assert live() == compiled
    assert deploy(compiles=True, memory=256) == []
    client("lambda").update_function_code(FunctionName="my-function", ZipFile=_zip_of_other_code())
    assert "UpdateFunctionCode" in deploy(compiles=False, memory=256), "the console's change is undone"


def _zip_of_other_code() -> bytes:
    return write_archive({"my_function.py": Entry(b"def lambda_handler(event, context): return 1\n")})
