"""Several functions are read by a few list calls; where a list is stale, the resource itself is read."""

from __future__ import annotations

from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.model import Deployment
from tests.support.function_releases import edit


def three_functions(script, tmp_path) -> Deployment:
    specs = []
    for name in ("one", "two", "three"):
        file = tmp_path / f"{name}.py"
        if not file.exists():
            edit(file, name)
        specs.append(
            script(lambda_function_path=file, function_name_template=f"shop-dev-{name}", schedule="@daily").spec
        )
    return Deployment(tuple(specs), application="shop", stage="dev")


def test_three_functions_need_few_reads_and_a_release_two_writes(aws, script, recorder, tmp_path) -> None:
    """Three functions are read in few calls and one is released by two writes."""
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    recorder.clear()
    assert not make_plan(aws, three_functions(script, tmp_path))
    assert recorder.writes == []
    reads = [name for name in recorder.calls if name != "ListTagsForResource"]  # moto's list of tags has no rules
    assert len(reads) <= 19
    edit(tmp_path / "one.py", "new")
    recorder.clear()
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    assert recorder.writes == ["UpdateFunctionCode", "UpdateAlias"]


def test_a_function_that_is_not_in_the_list_yet_is_asked_itself(aws, script, session, tmp_path, recorder) -> None:
    late: list[dict] = []
    session.events.register(
        "after-call.lambda.ListFunctions",
        lambda parsed, **_: late.append(parsed["Functions"].pop()) if parsed["Functions"] else None,
    )
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    recorder.clear()
    assert not make_plan(aws, three_functions(script, tmp_path))
    assert recorder.calls.count("GetFunction") == len(late) == 1


def test_lagging_tag_list_does_not_make_a_resource_unmanaged(aws, script, session, tmp_path, recorder) -> None:
    session.events.register(
        "after-call.resourcegroupstaggingapi.GetResources",
        lambda parsed, **_: parsed.update(ResourceTagMappingList=[]),
    )
    assert execute(aws, make_plan(aws, three_functions(script, tmp_path))).ok
    recorder.clear()
    assert not make_plan(aws, three_functions(script, tmp_path))
    assert recorder.calls.count("ListTags") == 3
