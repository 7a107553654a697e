"""The files of a Spark job: its script, the code of transform as a zip, and the declaration of the tables."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lambda_toolkit.pipeline import lambdas

JOBS = "jobs/"
"""Begins the keys of these files, in the processed bucket. No manifest lists them, and no sweep reads them."""

SCRIPT = b'''"""Transforms batches by Spark: see lambdas/transform/spark.py."""

import importlib
import sys

from pyspark.sql import SparkSession

main = importlib.import_module("lambdas.transform.spark").main  # of the zip that is submitted with this script
main(SparkSession.builder.appName("transform").getOrCreate(), sys.argv[1:])
'''
_PARTS = ("transform", "shared")  # of lambdas/: what transform is made of


@dataclass(frozen=True)
class JobFiles:
    """What a job is started with. The same code and the same declaration are the same bytes."""

    tables: bytes
    """``tables.json``, as the function transform has it."""
    code: bytes
    """A zip of Python modules, for ``--py-files``."""
    script: bytes = SCRIPT

    def keys(self) -> dict[str, bytes]:
        """Each file by its key in the processed bucket, which has a digest of its content: it is never overwritten."""
        named = {"transform.py": self.script, "lambdas.zip": self.code, "tables.json": self.tables}
        return {self.key(name): content for name, content in named.items()}

    def key(self, name: str) -> str:
        """The key of ``transform.py``, ``lambdas.zip`` or ``tables.json``."""
        content = {"transform.py": self.script, "lambdas.zip": self.code, "tables.json": self.tables}[name]
        return f"{JOBS}{hashlib.sha256(content).hexdigest()[:16]}/{name}"


def job_files(tables: bytes) -> JobFiles:
    """The files for a declaration; the code is that of this installation."""
    root = Path(str(lambdas.__file__)).parent
    found = [root / "__init__.py", *(file for part in _PARTS for file in sorted((root / part).rglob("*.py")))]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        for file in found:
            info = zipfile.ZipInfo(f"lambdas/{file.relative_to(root).as_posix()}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, file.read_bytes())
    return JobFiles(tables, code.getvalue())
