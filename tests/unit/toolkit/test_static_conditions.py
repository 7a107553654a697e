"""What a condition of a module is on Lambda, where its source says so."""

from __future__ import annotations

import ast

import pytest

from lambda_toolkit.packaging.imports.static_conditions import truth

TRUE = """
True
1
"text"
(1, 2)
not False
not ()
os.name == "posix"
sys.platform == "linux"
sys.platform != "win32"
sys.platform.startswith("lin")
platform.system() == "Linux"
platform.system().startswith("L")
__debug__
"linux" in ("linux", "darwin")
sys.platform in ["linux"]
sys.platform in {"linux", "other"}
sys.platform not in ("win32", "cygwin")
sys.version_info >= (3, 12)
sys.version_info > (3, 12)
sys.version_info != (3, 12)
sys.version_info < (3, 13)
sys.version_info <= (4,)
version_info >= (3,)
sys.version_info > (3, 11, 4)
sys.version_info < (3, 13, 1)
sys.version_info[0] == 3
sys.version_info.major >= 3
sys.version_info[1] == 12
sys.version_info.minor < 13
sys.version_info[:2] == (3, 12)
sys.version_info[:2] >= (3, 12)
"AWS_LAMBDA_FUNCTION_NAME" in os.environ
"AWS_EXECUTION_ENV" in environ
os.environ.get("AWS_LAMBDA_RUNTIME_API")
environ.get("LAMBDA_TASK_ROOT")
os.getenv("AWS_REGION")
getenv("LAMBDA_RUNTIME_DIR", "")
os.getenv("AWS_LAMBDA_FUNCTION_VERSION") and os.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
True and 1
unknown or True
False or True
not (unknown and False)
__name__ != "__main__"
"""
FALSE = """
False
0
""
None
()
not True
TYPE_CHECKING
typing.TYPE_CHECKING
t.TYPE_CHECKING and unknown
os.name == "nt"
sys.platform == "win32"
sys.platform.startswith("win")
platform.system() == "Windows"
not __debug__
sys.platform in ("win32", "cygwin")
sys.platform not in ("linux",)
sys.version_info < (3, 12)
sys.version_info <= (3, 12)
sys.version_info == (3, 12)
sys.version_info >= (3, 13)
sys.version_info > (4,)
sys.version_info < (3, 11, 4)
sys.version_info[0] == 2
sys.version_info.major < 3
sys.version_info[1] < 12
sys.version_info.minor > 12
sys.version_info[:2] < (3, 12)
"AWS_LAMBDA_FUNCTION_NAME" not in os.environ
not os.getenv("AWS_EXECUTION_ENV")
False and unknown
unknown and False
False or 0
__name__ == "__main__"
"__main__" == __name__
'__main__' == __name__
"""
UNKNOWN = """
unknown
unknown.name
unknown()
not unknown
unknown and True
True and unknown
unknown or False
False or unknown
(1, unknown)
x in (1, unknown)
1 < unknown
1 < 2 < 3
1 is 1
1 < "a"
1 in 5
sys.version_info
sys.version_info[2] == 0
sys.version_info.micro > 1
sys.version_info >= (3, 12, 1)
sys.version_info >= unknown
sys.version_info >= 3
sys.version_info >= ("3", 12)
sys.version_info is (3, 12)
"HOME" in os.environ
unknown in os.environ
"AWS_REGION" in settings
os.getenv("HOME")
os.getenv(unknown)
os.getenv()
settings.get("AWS_REGION")
unknown.startswith("a")
sys.platform.startswith(unknown)
sys.platform.startswith("a", 1)
sys.platform.endswith("x")
__name__ == "other"
platform.machine() == "x86_64"
lambda: True
"""
CASES = [(line, value) for text, value in ((TRUE, True), (FALSE, False), (UNKNOWN, None)) for line in text.split("\n")]


@pytest.mark.parametrize(("condition", "expected"), [case for case in CASES if case[0]])
def test_condition_is_decided_where_its_source_says_so(condition: str, expected: bool | None) -> None:
    assert truth(ast.parse(condition, mode="eval").body, (3, 12)) is expected
