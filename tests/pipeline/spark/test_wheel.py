"""The pyarrow that a job on AWS brings: asks the package index, so it is part of ``make spark`` alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile

import pytest

from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.lock_file import read_lock
from lambda_toolkit.pipeline.spark.backfill import download_wheel
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.skipif(not os.environ.get("SPARK_PYTHONS"), reason="make spark asks the package index")


def test_wheel_of_the_lock_is_what_the_job_imports(tmp_path):
    """For the Python of the engines on AWS, one of the files of the lock by its hash; and it can be imported."""
    pipeline = load(REPOSITORY / "config" / "pipeline.toml", None, {})
    [pinned] = [line for line in read_lock(pipeline).requirements if line.startswith("pyarrow==")]
    wheel = download_wheel(pipeline, tmp_path)
    assert f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" in pinned
    assert "-cp311-cp311-" in wheel.name and wheel.name.endswith("x86_64.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "wheel")
    code = "import pyarrow.parquet, pyarrow; print(pyarrow.__version__, pyarrow.__file__)"
    python = shutil.which("python3.11")
    if python is None:
        pytest.skip("there is no Python 3.11, which the engines have")
    command = [python, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'wheel')!r}); {code}"]
    version, file = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert f"pyarrow=={version}" == pinned.split()[0]
    assert file.startswith(str(tmp_path))
