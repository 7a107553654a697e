"""Tags and names that mark a resource as managed."""

from __future__ import annotations

import pytest

from lambda_toolkit.errors import OwnershipError
from lambda_toolkit.spec.ownership import (
    derived_name,
    desired_tags,
    is_owned,
    listing_prefix,
    missing_tags,
    require_owned,
    unwanted_tags,
)


def test_tags_of_others_are_not_touched() -> None:
    desired = desired_tags({"team": "data"}, "f")
    assert missing_tags({"theirs": "1", "team": "shop", "managed-by": "lambda_script"}, desired) == {
        "team": "data",
        "lambda-script:function": "f",
    }


def test_tags_declared_empty_are_removed_where_they_are() -> None:
    declared = {"team": "", "stage": "dev", "owner": ""}
    assert unwanted_tags({"team": "data", "theirs": "1", "stage": "dev"}, declared) == ("team",)
    assert unwanted_tags({"theirs": "1"}, declared) == ()
    assert desired_tags(declared) == {"stage": "dev", "managed-by": "lambda_script"}


def test_the_toolkits_own_tags_cannot_be_declared_away() -> None:
    assert desired_tags({"managed-by": "me"})["managed-by"] == "lambda_script"


def test_ownership() -> None:
    mine = desired_tags({}, "f")
    assert is_owned(mine)
    assert is_owned(mine, "f")
    assert not is_owned(mine, "g")
    assert not is_owned({})
    require_owned("role", "r", mine, adopt=False, function="f")
    require_owned("role", "r", {}, adopt=True, function="f")
    with pytest.raises(OwnershipError, match="tag that one managed-by=lambda_script and lambda-script:function=f"):
        require_owned("role", "r", {}, adopt=False, function="f")
    with pytest.raises(OwnershipError, match="belongs to the function `f`"):
        require_owned("role", "r", mine, adopt=False, function="g")


def test_long_names_are_shortened_and_stay_different() -> None:
    assert derived_name("f", "role") == "f-role"
    names = {derived_name("x" * 60 + end, "schedule") for end in ("abcd", "abce")}
    assert len(names) == 2
    assert {len(name) for name in names} == {64}
    assert all(name.endswith("-schedule") for name in names)


def test_names_that_begin_alike_are_listed_together() -> None:
    assert listing_prefix(["shop-dev-a", "shop-dev-b"], "shop-dev-a") == "shop-dev-"
    assert listing_prefix(["orders", "stock"], "stock") == "stock"
    assert listing_prefix(["only"], "only") == "only"
    long = ["x" * 60 + end for end in "ab"]
    assert all(derived_name(name, "schedule").startswith(listing_prefix(long, name)) for name in long)
