"""Where Python finds a module: in the package by its roots, in the layer, in the runtime, or nowhere."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from lambda_toolkit.packaging.archive import Entry
from lambda_toolkit.packaging.imports.compiled_modules import Platform
from lambda_toolkit.packaging.imports.module_index import Located, ModuleIndex

FILES = """
a/__init__.py a/b.py a/sub/__init__.py m.py space/one.py space/deep/two.py lib/space/three.py lib/m2.py both/x.py
lib/both.py lib/pack/__init__.py library/x.py lib/deep/x.py google/cloud/mine.py native.so
old.cpython-311-x86_64-linux-gnu.so a/_x.cpython-311-x86_64-linux-gnu.so a/_c.abi3.so tool.exe m/y.py
space/pack/__init__.py space/pack/leaf.py
"""
OLD, OLD_BELOW = "old.cpython-311-x86_64-linux-gnu.so", "a/_x.cpython-311-x86_64-linux-gnu.so"
LAYER = ("pg", "google/", "google/other", "other/", "other/deep/", "other/deep/leaf")


def index(
    layer: Collection[str] | None = LAYER, roots: Collection[str] = ("", "lib"), given: Collection[str] = ()
) -> ModuleIndex:
    entries = {name: Entry(b"MZ" if name.endswith(".exe") else b"") for name in FILES.split()}
    return ModuleIndex(entries, layer, Platform((3, 12), "x86_64"), list(roots), given)


def own(*files: str) -> Located:
    return Located(files, is_own=True)


PACKAGE = "a/__init__.py"
SPACE = Located(is_own=True, is_namespace=True)
FOUND: tuple[tuple[str, Located], ...] = (
    ("m", own("m.py")),
    ("a", own(PACKAGE)),
    ("a.b", own(PACKAGE, "a/b.py")),
    ("a.sub", own(PACKAGE, "a/sub/__init__.py")),
    ("a._c", own(PACKAGE)),
    ("native", own()),
    ("space.pack.leaf", own("space/pack/__init__.py", "space/pack/leaf.py")),
    ("space", SPACE),
    ("space.deep", SPACE),
    ("space.one", own("space/one.py")),
    ("space.deep.two", own("space/deep/two.py")),
    ("space.three", own("lib/space/three.py")),
    ("m2", own("lib/m2.py")),
    ("both", own("lib/both.py")),
    ("google.cloud", SPACE),
    ("google.cloud.mine", own("google/cloud/mine.py")),
    *(
        (name, Located())
        for name in ("json.decoder", "boto3.session", "pg.native", "google.other.x", "other.deep.leaf")
    ),
)
MISSING: tuple[tuple[str, Located], ...] = (
    ("nothere.x", Located(missing="nothere")),
    ("tool", Located(missing="tool")),
    ("old", Located(missing="old", wrong=OLD)),
    ("a._x", Located((PACKAGE,), "a._x", OLD_BELOW, is_own=True)),
    ("a.nothere.deeper", Located((PACKAGE,), "a.nothere", is_own=True)),
    ("a.b.c", Located((PACKAGE, "a/b.py"), "a.b.c", is_own=True)),
    *((name, Located(("m.py",), name, is_own=True)) for name in ("m.x", "m.y")),
    ("native.x", Located(missing="native.x", is_own=True)),
    ("space.nothere", Located(missing="space.nothere")),
    ("google.nothere", Located(missing="google.nothere")),
    ("other.deep.nothere", Located(missing="other.deep.nothere")),
)


@pytest.mark.parametrize(("module", "found"), (*FOUND, *MISSING))
def test_module_is_found_where_python_searches(module: str, found: Located) -> None:
    """A folder without ``__init__.py`` is one with those of its name in other places, and gives way to a module."""
    assert index().locate(module) == found


def test_what_is_not_known_of_a_layer_may_be_there() -> None:
    for module in ("nothere", "space.one", "google.cloud.mine"):
        assert index(layer=None).locate(module) == Located()
    assert index(layer=None).locate("a.nothere").missing == "a.nothere"
    assert index(layer=(), roots=("",)).locate("m2").missing == "m2"
    given = index(given=["torch.nn", "space.four.x", "a.made", "jax", "a.sub"])
    for module in ("torch.nn.x", "space.four.x", "a.made.x", "jax.numpy", "a.sub.nothere"):
        assert given.locate(module).missing == ""
    assert given.locate("torch") == given.locate("space.four") == SPACE
    assert [given.locate(module).missing for module in ("torch.x", "a.madeup")] == ["torch.x", "a.madeup"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("m.py", "m"),
        (PACKAGE, "a"),
        ("a/b.py", "a.b"),
        ("lib/m2.py", "m2"),
        ("lib/pack/__init__.py", "pack"),
        ("lib/deep/x.py", "x"),
        ("library/x.py", "library.x"),
        ("deep/lib/x.py", "deep.lib.x"),
    ],
)
def test_module_has_the_name_below_its_closest_root(file: str, name: str) -> None:
    assert index(roots=("", "lib", "lib/deep")).name_of(file) == name
