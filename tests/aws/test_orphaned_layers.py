"""Layers that no function uses: prune finds them by name once they are a day old."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lambda_script import PackageError
from lambda_toolkit.aws.client import Aws, Clock
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.packaging.layer_zip import LayerSpec
from lambda_toolkit.spec.model import Deployment
from tests.support.sessions import REGION

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _installs(monkeypatch) -> None:
    def install(spec: LayerSpec, target: Path) -> None:
        target.mkdir()
        (target / "one.py").write_text("x = 1\n", encoding="utf-8")

    monkeypatch.setattr("lambda_toolkit.packaging.layer_zip._install", install)


@pytest.fixture
def later(session):
    """Return a client of the same AWS whose clock is ``hours`` ahead."""

    def make(hours: float) -> Aws:
        return Aws(REGION, session=session, clock=Clock(wall=lambda: time.time() + hours * HOUR))

    return make


@pytest.fixture
def deployment(script):
    def make(*requirements: str, name: str = "shop-one") -> Deployment:
        spec = script(function_name_template=name, requirements=requirements).spec
        return Deployment((spec,), application="shop", stage="dev")

    return make


def layers(client) -> list[str]:
    return [layer["LayerName"] for layer in client("lambda").list_layers()["Layers"]]


@pytest.fixture
def left_over(script, recorder, client, deployment, aws) -> str:
    """A layer whose removal was denied when its function changed its requirements."""
    assert execute(aws, make_plan(aws, deployment("one"))).ok
    [name] = layers(client)
    recorder.refuse("DeleteLayerVersion", "AccessDeniedException", "no", times=1)
    report = execute(aws, make_plan(aws, deployment("two")))
    assert [failure.change.key for failure in report.failed] == [("layer", name)]
    return name


def test_a_layer_whose_removal_failed_goes_with_a_later_deploy(deployment, later, client, left_over) -> None:
    assert not make_plan(later(23), deployment("two"), prune=True), "another deployment may be about to use it"
    plan = make_plan(later(25), deployment("two"), prune=True)
    assert [(change.action, change.key) for change in plan.changes] == [("delete", ("layer", left_over))]
    assert execute(later(25), plan).ok
    assert left_over not in layers(client)
    assert len(layers(client)) == 1
    assert not make_plan(later(25), deployment("two"), prune=True)


def test_only_a_pruning_deploy_with_requirements_looks_for_them(deployment, later, script, recorder, left_over) -> None:
    recorder.clear()
    assert not make_plan(later(25), deployment("two"))
    assert not make_plan(later(25), deployment("two"), only=["shop-one"], prune=True)
    assert "ListLayers" not in recorder.calls
    bare = Deployment((script(function_name_template="bare").spec,), application="bare", stage="dev")
    make_plan(later(25), bare, prune=True)
    assert "ListLayers" not in recorder.calls


def test_what_others_use_and_what_is_not_ours_stays(deployment, later, script, client) -> None:
    script(function_name_template="elsewhere", requirements=["three"]).deploy()
    theirs = {"LayerName": "theirs", "Content": {"ZipFile": (Path.cwd() / "my_function.py").read_bytes()}}
    client("lambda").publish_layer_version(**theirs)
    assert execute(later(0), make_plan(later(0), deployment("two"))).ok
    assert not make_plan(later(25), deployment("two"), prune=True)
    assert len(layers(client)) == 3


def test_a_layer_that_is_left_over_and_asked_for_again_is_used(deployment, later, client, left_over) -> None:
    plan = make_plan(later(25), deployment("one"), prune=True)
    assert ("layer", left_over) not in {change.key for change in plan.changes}
    assert execute(later(25), plan).ok
    assert layers(client) == [left_over]


def test_a_function_beyond_the_first_page_uses_it_too(deployment, later, script, client, monkeypatch) -> None:
    monkeypatch.setattr("lambda_toolkit.aws.account._PAGE", 1)
    assert execute(later(0), make_plan(later(0), deployment("two"))).ok
    script(function_name_template="z-last", requirements=["one"]).deploy()
    assert len(layers(client)) == 2
    assert not make_plan(later(25), deployment("two"), prune=True)
    client("lambda").delete_function(FunctionName="z-last")
    [change] = make_plan(later(25), deployment("two"), prune=True).changes
    assert (change.kind, change.action) == ("layer", "delete")


@pytest.mark.parametrize("operation", ["ListLayers", "ListFunctions"])
def test_orphaned_layers_are_skipped_without_permission_to_list(
    deployment, later, recorder, left_over, operation
) -> None:
    """Without permission to list, a note says so and the plan continues."""
    recorder.refuse(operation, "AccessDeniedException", "no")
    plan = make_plan(later(25), deployment("two"), prune=True)
    assert not plan
    assert any("lack lambda:ListLayers" in note for note in plan.notes)


def test_a_cache_that_cannot_be_written_is_named(script, monkeypatch, tmp_path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(blocked))
    with pytest.raises(PackageError, match="Set LAMBDA_SCRIPT_CACHE to another folder"):
        script(requirements=["one"]).plan()
