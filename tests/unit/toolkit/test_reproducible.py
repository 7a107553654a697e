"""Two checkouts in different folders, built by different Pythons and settings, give the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lambda_toolkit.packaging.uv import find_uv
from lambda_toolkit.spec.model import THIS_RUNTIME
from tests.support.wheels import wheel

REPOSITORY = Path(__file__).parents[3]
BUILD = """
import hashlib, json, os, sys
from pathlib import Path
os.umask(int(sys.argv[3], 8))
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.layer_zip import build_layer, layer_of
root = Path(sys.argv[1])
spec = FunctionSpec("f", root / "lambdas/extract", include=(root / "lambdas/shared",), requirements=(sys.argv[2],))
layer = build_layer(layer_of(spec), root / "cache")
print(json.dumps([build(spec).sha256, hashlib.sha256(layer.path.read_bytes()).hexdigest()]))
"""


def build(python: str, checkout: Path, requirement: str, umask: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [python, "-c", BUILD, str(checkout), requirement, umask],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def other_python() -> str | None:
    """Another build of this minor version of Python."""
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"):
        found = shutil.which(THIS_RUNTIME, path=folder)
        if found and os.path.realpath(found) != os.path.realpath(sys.executable):
            return found
    return None


def test_two_checkouts_give_the_same_bytes(tmp_path: Path) -> None:
    uv = str(Path(str(find_uv())).parent)
    requirement = wheel(tmp_path, "one", {"one/__init__.py": "A = {'x', 'y', 'z'}\n", "one/data.bin": "x" * 2_000_000})
    checkouts = [tmp_path / "one", tmp_path / "a" / "deeper" / "place"]
    for checkout in checkouts:
        shutil.copytree(REPOSITORY / "lambdas", checkout / "lambdas", ignore=shutil.ignore_patterns("__pycache__"))
    for file in checkouts[1].rglob("*.py"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
        file.chmod(0o700)
    path = f"{uv}:{os.environ['PATH']}"
    first = build(sys.executable, checkouts[0], requirement, "077", PATH=path, PYTHONHASHSEED="1", USER="ada")
    second = build(
        other_python() or sys.executable,
        checkouts[1],
        requirement,
        "002",
        PATH=path,
        PYTHONHASHSEED="2",
        USER="grace",
        LANG="C",
        LC_ALL="C",
        TZ="Asia/Tokyo",
        PYTHONOPTIMIZE="2",
    )
    assert first == second


USE = """
import sys
sys.path.insert(0, sys.argv[1])
import io, decimal, datetime
import pyarrow as pa, pyarrow.compute as pc, pyarrow.csv, pyarrow.parquet as pq
import pg8000.native
assert all(module.__file__.startswith(sys.argv[1]) for module in (pa, pg8000))
table = pa.csv.read_csv(io.BytesIO(b"id,day,price,word\\n1,2024-02-29,1.50,x\\n2,2024-03-01,2.25,x\\n"),
    convert_options=pa.csv.ConvertOptions(column_types={"day": pa.string(), "price": pa.string()}))
days = pc.strptime(table["day"], "%Y-%m-%d", "us").cast(pa.date32())
prices = table["price"].cast(pa.decimal128(10, 2))
assert pc.sum(prices).as_py() == decimal.Decimal("3.75")
table = table.set_column(1, "day", days).set_column(2, "price", prices)
file = io.BytesIO()
pq.write_table(table, file, compression="zstd", compression_level=1, use_dictionary=["word"],
    column_encoding={"id": "DELTA_BINARY_PACKED"}, store_decimal_as_integer=True)
again = pq.read_table(io.BytesIO(file.getvalue()))
assert again.equals(table) and again["day"][0].as_py() == datetime.date(2024, 2, 29)
assert pq.ParquetFile(io.BytesIO(file.getvalue())).metadata.row_group(0).column(3).compression == "ZSTD"
assert table.group_by("word").aggregate([("price", "max")])["price_max"][0].as_py() == decimal.Decimal("2.25")
assert table.join(table.select(["id"]), "id").num_rows == 2
"""


def test_what_remains_of_the_pipelines_requirements_can_be_used(tmp_path: Path) -> None:
    """The excludes of pyarrow in config/pipeline.toml remove nothing that the pipeline needs.

    The layer is built for this machine and kept between runs; the interpreter sees no other package.
    """
    from lambda_toolkit.packaging.layer_zip import build_layer, layer_of
    from lambda_toolkit.pipeline.config.load import load

    pipeline = load(REPOSITORY / "config" / "pipeline.toml", "local")
    spec = layer_of(pipeline.functions["extract"].spec)
    assert spec is not None
    layer = build_layer(spec)
    assert layer.zipped < 42 * 2**20
    assert layer.unzipped < 124 * 2**20
    shutil.unpack_archive(layer.path, tmp_path, "zip")
    for file in (tmp_path / "python").rglob("*"):
        assert not file.is_file() or f"{REPOSITORY}/".encode() not in file.read_bytes(), file
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", USE, str(tmp_path / "python")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
