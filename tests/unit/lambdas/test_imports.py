"""What the functions import: the column functions need pyarrow alone, and transform has no database driver."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lambda_toolkit.pipeline.lambdas.transform.columns as columns

SOURCE = Path(columns.__file__).resolve().parents[3]  # the folder of the package `lambdas`
MODULES = sorted(f"lambdas.transform.columns.{file.stem}" for file in Path(columns.__file__).parent.glob("[a-z]*.py"))
BLOCK = """
import sys, importlib.abc

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}")

sys.meta_path.insert(0, Block())
"""


def import_without(module: str, blocked: tuple[str, ...]) -> None:
    """Imports ``module`` in an interpreter of its own that cannot import ``blocked``."""
    code = f"{BLOCK.format(blocked=blocked)}\nimport {module}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=SOURCE,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_column_functions_need_pyarrow_alone() -> None:
    blocked = ("boto3", "botocore", "pg8000", "pandas", "lambda_toolkit", "lambda_script")
    import_without(", ".join(MODULES), blocked)


@pytest.mark.parametrize("blocked", ["pg8000", "pandas"])
def test_transform_has_no_database_driver(blocked: str) -> None:
    import_without("lambdas.transform.handler", (blocked,))
