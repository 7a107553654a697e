"""What is read of a module without running it: imports, choices, names, and what makes them uncertain."""

from __future__ import annotations

import pytest

from lambda_toolkit.packaging.imports.import_statements import Choice, Import, Step, read

VERSION = (3, 12)


def shown(steps: tuple[Step, ...]) -> str:
    """``a.b:c`` of ``from a.b import c``; ``?`` where it may not run; a choice as ``(tried | otherwise | then)``."""
    return " ".join(
        f"{'.' * each.level}{each.module}{f':{each.name}' if each.name else ''}{'' if each.certain else '?'}"
        if isinstance(each, Import)
        else f"({' | '.join(map(shown, (each.tried, each.otherwise, each.then)))})"
        for each in steps
    )


STEPS = (
    ("import a.b, c as d", "a.b c"),
    ("from a.b import c, d as e", "a.b:c a.b:d"),
    ("from . import a\nfrom ..b import c\nfrom a import *", ".:a ..b:c a:*"),
    ("def f():\n    import a\nasync def g():\n    import b", "a? b?"),
    ("class A:\n    import a\n    def f(self):\n        import b", "a b?"),
    ("if x:\n    import a\nelif y:\n    import b\nelse:\n    import c", "a? b? c?"),
    ("if True:\n    import a\nelse:\n    import b", "a"),
    ("if False:\n    import a\nelse:\n    import b", "b"),
    ("def f():\n    if True:\n        import a", "a?"),
    ("import sys\nif sys.version_info >= (3, 12):\n    import a\nelse:\n    import b", "sys a"),
    ("if find_spec('a'):\n    import a\nelse:\n    import b", "(a? b? |  | )"),
    ("for x in y:\n    import a\nelse:\n    import b", "a? b?"),
    ("while x:\n    import a\nasync def f():\n    async for x in y:\n        import b", "a? b?"),
    ("match x:\n    case 1:\n        import a\n    case _:\n        import b", "a? b?"),
    ("with x:\n    import a", "a"),
    ("async def f():\n    async with x:\n        import a", "a?"),
    ("with suppress(ImportError):\n    import a", "(a |  | )"),
    ("with y, contextlib.suppress(ValueError, ModuleNotFoundError):\n    import a", "(a |  | )"),
    ("with suppress(ValueError):\n    import a", "a"),
    ("with suppress:\n    import a", "a"),
    ("with other(ImportError):\n    import a", "a"),
    ("try:\n    import a\nexcept ImportError:\n    import b\nelse:\n    import c", "(a | b | c)"),
    ("try:\n    import a\nexcept:\n    ...", "(a |  | )"),
    ("try:\n    import a\nexcept Exception:\n    pass", "(a |  | )"),
    ("try:\n    import a\nexcept BaseException:\n    pass", "(a |  | )"),
    ("try:\n    import a\nexcept builtins.ModuleNotFoundError:\n    pass", "(a |  | )"),
    ("try:\n    import a\nexcept (OSError, ImportError):\n    pass", "(a |  | )"),
    ("try:\n    import a\nexcept MISSING:\n    pass", "(a |  | )"),
    ("try:\n    import a\nexcept (OSError, ValueError):\n    import b", "a b?"),
    ("try:\n    import a\nexcept OSError:\n    import b\nexcept ImportError:\n    import c", "(a | c | ) b?"),
    ("try:\n    import a\nexcept* ImportError:\n    import b", "(a | b | )"),
    ("try:\n    x\nexcept ImportError:\n    import b\nelse:\n    import c\nfinally:\n    import d", "b? c d"),
    ("try:\n    import a\nexcept ImportError:\n    raise", "a"),
    ("try:\n    import a\nexcept ImportError:\n    print()\n    raise", "a"),
    ("try:\n    import a\nexcept ImportError:\n    import b\n    raise", "(a | b | )"),
    ("try:\n    import a\nexcept ImportError:\n    if x:\n        raise", "(a |  | )"),
    ("try:\n    import a\nexcept ImportError:\n    sys.exit(1)", "a"),
    ("try:\n    import a\nexcept ImportError:\n    exit()", "a"),
    ("try:\n    import a\nexcept ImportError:\n    quit()", "a"),
    ("try:\n    import a\nexcept ImportError:\n    os._exit(1)", "a"),
    ("try:\n    import a\nexcept ImportError:\n    print()\n    x = exit()", "(a |  | )"),
    ("def f():\n try:\n  import a\n except ImportError:\n  import b\n finally:\n  import c", "(a? | b? | ) c?"),
    ("importlib.import_module('a.b')", "a.b"),
    ("x = import_module(name='a')", "a"),
    ("x = [__import__('a') for y in z]", "a"),
    ("if import_module('a'):\n    import_module('b')", "a b?"),
    ("def f(x=import_module('a')):\n    import_module('b')", "a b?"),
    ("import_module('.a', __package__)\nimport_module('..b', package=__spec__.parent)", ".a ..b"),
    ("import_module('.a', 'other')\nimport_module('.b')\nimport_module('.', __package__)\nimport_module('')", ""),
    ("import_module(x)\nimport_module(5)\nimport_module()\nother.import_module('a')", ""),
    ("import_module('a', package='b')", "a"),
    ("import_module(x, package='b')\nimport_module(x, 'b')\nimport_module(name='.a', package=__package__)", ".a"),
)  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), STEPS)
def test_imports_are_read_in_the_order_in_which_they_run(source: str, expected: str) -> None:
    assert shown(read(source.encode(), VERSION).steps) == expected


def test_line_is_that_of_the_statement() -> None:
    source = b"import a\n\nfrom b import c\n\n\nx = import_module(\n  'd')\n"
    assert [step.line for step in read(source, VERSION).steps if isinstance(step, Import)] == [1, 3, 6]
    [choice] = read(b"try:\n    import a\nexcept ImportError:\n    import b\n", VERSION).steps
    assert isinstance(choice, Choice)


ALWAYS = "__name__ __file__ __doc__ __dict__ __spec__ __path__ __loader__ __package__ __builtins__"
NAMES = (
    ("def a(): x = 1\nasync def b(): y = 2\nclass c: z = 3", "a b c"),
    ("import a.b.x, c as d\nfrom e import f, g as h", "a d f h"),
    ("a = b = 1\nc, (d, *e) = x\nf.g = h[0] = 1", "a b c d e"),
    ("a: int = 1\nb += 1\nfor c in d: e = 1\nwith x as f, y: pass", "a b c e f"),
    ("async def f():\n    global a\n    async for b in c: pass", "f a"),
    ("if x:\n    a = 1\nelse:\n    b = 2\ntry:\n    c = 1\nexcept E:\n    d = 1\nfinally:\n    e = 1", "a b c d e"),
    ("while x:\n    a = 1\nelse:\n    b = 1", "a b"),
    ("if (a := 1): pass\nprint(b := 2)", "a b"),
    ("print([x for x in y])\nprint(z)", ""),
)


@pytest.mark.parametrize(("source", "expected"), NAMES)
def test_names_are_those_that_the_module_defines(source: str, expected: str) -> None:
    found = read(source.encode(), VERSION)
    assert found.names == {*ALWAYS.split(), *expected.split()}
    assert not found.defines_more
    assert not found.changes_path


def test_module_may_define_more_than_it_says() -> None:
    more = (
        *(
            "from a import *",
            "from a import *\nfrom b import c",
            "def __getattr__(name): ...",
            "globals()['a'] = 1",
            "vars()['a'] = 1",
            "exec(x)",
        ),
        *("eval(x)", "sys.modules['a'] = 1", "setattr(x, 'a', 1)", "x.__dict__['a'] = 1"),
        "match x:\n    case [a, *b]: pass",
    )
    for source in more:
        assert read(source.encode(), VERSION).defines_more is True, source


def test_module_may_change_where_modules_are_found() -> None:
    for change in ("sys.path.append('x')", "site.addsitedir('x')", "__path__ = []", "sys.meta_path", "sys.path_hooks"):
        assert read(change.encode(), VERSION).changes_path is True, change


@pytest.mark.parametrize("source", [b"def f(:", b"x = '\x00'"])
def test_source_that_cannot_be_read_is_an_error(source: bytes) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        read(source, VERSION)
