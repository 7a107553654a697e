"""Sizes of the pipeline's packages and layer, and what a cold start takes and costs.

A cold start is a process of its own that imports a handler from its unpacked package and layer, with boto3 beside them
as on Lambda, and nothing else: with the bytecode that is packaged, without, and with bytecode that is stale, as in
packages that carry what an installer compiled. No file is written, as on Lambda. What it costs is what Lambda bills for
the INIT phase with the memory that the function is declared with; it has two processors then, whatever its memory.
Run: python -m benchmarks.packages, and see its --help
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import boto3

from benchmarks.memory_setting import REGION, cents
from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.rounds import Environment
from benchmarks.whole_path import STEPS
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.layer_zip import LayerSpec, build_layer, layer_of
from lambda_toolkit.pipeline.config.aws.deployment import function_spec
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.spec.model import FunctionSpec

REPOSITORY = Path(__file__).parents[1]
ACCOUNT = "123456789012"
MIB = 2**20
SIZE_COLUMNS = ("package", "zipped", "unzipped", "runtime")
START_COLUMNS = (
    *("function", "ms", "of them processor", "without bytecode", "with stale bytecode"),
    *("MB declared", "cents for a thousand cold starts"),
)


def main() -> None:
    """Measure, print, and write the tables into their places where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packages", description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="processes of each (15)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the tables into their places in this document")
    arguments = parser.parse_args()
    sizes = _sizes()
    show_table("package sizes", SIZE_COLUMNS, sizes, ())
    starts = _starts(arguments.runs)
    show_table("cold starts", START_COLUMNS, starts, ())
    if arguments.into:
        replace_between(arguments.into, "package sizes", markdown_table(SIZE_COLUMNS, sizes))
        when = f"{machine_now(arguments.runs)}\n\n"
        replace_between(arguments.into, "cold starts", when + markdown_table(START_COLUMNS, starts))


def _functions(stage: str) -> list[FunctionSpec]:
    pipeline = load(REPOSITORY / "config" / "pipeline.toml", stage)
    return [function_spec(pipeline, function, ACCOUNT) for function in pipeline.functions.values()]


def _sizes() -> list[list[str]]:
    """A row for each function, and for the layer, as SIZE_COLUMNS."""
    rows = []
    for spec in _functions("dev"):
        package = build(spec)
        rows.append([spec.name, _kib(len(package.content)), _kib(package.unzipped), spec.runtime])
    layer = build_layer(_recipe(_functions("dev")[0]))
    largest = ", ".join(f"{name} {size / MIB:.1f}" for name, size in layer.largest[:5])
    rows.append([f"layer: {largest}", _mib(layer.zipped), _mib(layer.unzipped), spec.runtime])
    return rows


def _starts(runs: int) -> list[list[str]]:
    """A row for each of the three functions, as START_COLUMNS."""
    specs = [spec for spec in _functions("local") if spec.name.rpartition("-")[2] in STEPS]
    site = next((Environment(f"boto3=={boto3.__version__}").python.parents[1] / "lib").glob("*/site-packages"))
    with tempfile.TemporaryDirectory() as directory:
        ready = Path(directory) / "with bytecode"
        for spec in specs:
            zipfile.ZipFile(BytesIO(build(spec).content)).extractall(ready / spec.name)
        zipfile.ZipFile(build_layer(_recipe(specs[0])).path).extractall(ready / "opt")
        without = shutil.copytree(ready, Path(directory) / "without")
        for folder in list(without.rglob("__pycache__")):
            shutil.rmtree(folder)
        stale = shutil.copytree(without, Path(directory) / "stale")
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(stale)], check=False, capture_output=True)
        for file in stale.rglob("*.py"):  # unpacked from a zip: not the times that the bytecode remembers
            os.utime(file, (315_532_800, 315_532_800))
        places = (ready, without, stale)
        found: dict[tuple[str, Path], list[tuple[float, float]]] = {}
        for _ in range(runs + 1):  # in turns, so that the machine's moods meet all alike
            for spec in specs:
                for place in places:
                    found.setdefault((spec.name, place), []).append(_import(place, spec.name, site))
    rows = []
    for spec in specs:
        wall, used = ([sample[part] for sample in found[spec.name, ready][1:]] for part in (0, 1))
        others = [[sample[0] for sample in found[spec.name, place][1:]] for place in places[1:]]
        bill = cents(spec.memory, statistics.median(wall)) * 1000
        rows.append([spec.name, _ms(wall), _ms(used), *map(_ms, others), f"{spec.memory}", f"{bill:.2f}"])
    return rows


def _recipe(spec: FunctionSpec) -> LayerSpec:
    recipe = layer_of(spec)
    if recipe is None:
        raise SystemExit("the pipeline has requirements")
    return recipe


def _import(place: Path, function: str, site: Path) -> tuple[float, float]:
    """Seconds of a process that imports the handler, and of its processor, without the start of Python."""
    code = (
        "import sys, time; begun, used = time.perf_counter(), time.process_time(); "
        f"sys.path[:0] = {[str(place / function), str(place / 'opt' / 'python')]!r}; sys.path.append({str(site)!r}); "
        f"import lambdas.{function.rpartition('-')[2]}.handler; "
        "print(time.perf_counter() - begun, time.process_time() - used)"
    )
    names = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": REGION, "METRICS_NAMESPACE": "n"}
    names |= dict.fromkeys(("INGESTION_BUCKET", "PROCESSED_BUCKET", "SOURCE_SECRET", "WAREHOUSE_SECRET"), "n")
    command = [sys.executable, "-S", "-B", "-c", code]
    done = subprocess.run(command, env=names, check=True, stdout=subprocess.PIPE, text=True)
    seconds, used = map(float, done.stdout.split())
    return seconds, used


def _ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ({min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f})"


def _kib(size: int) -> str:
    return f"{size / 1024:,.0f} KiB"


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"


if __name__ == "__main__":
    main()
