"""Sizes of the pipeline's packages and layer, and what bytecode is worth at a cold start.

A cold start is a process of its own that imports the handler of extract from its unpacked package and layer: with the
bytecode that is packaged, without, and with bytecode that is stale, as in packages that carry what an installer
compiled. No file is written, as on Lambda. Run: python -m benchmarks.packages [--runs N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.layer_zip import build_layer, layer_of
from lambda_toolkit.pipeline.config.aws.deployment import function_spec
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.spec.model import FunctionSpec

REPOSITORY = Path(__file__).parents[1]
ACCOUNT = "123456789012"
MIB = 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    print(f"{'':<28}{'zipped':>14}{'unzipped':>14}")
    for stage in ("dev", "local"):
        for spec in _functions(stage):
            package = build(spec)
            print(f"{spec.name:<28}{_kib(len(package.content))}{_kib(package.unzipped)}   {spec.runtime}")
        recipe = layer_of(_functions(stage)[0])
        if recipe is None:
            raise SystemExit("the pipeline has requirements")
        layer = build_layer(recipe)
        print(f"{'layer, ' + recipe.runtime:<28}{_mib(layer.zipped)}{_mib(layer.unzipped)}")
        print("   " + ", ".join(f"{name} {size / MIB:.1f}" for name, size in layer.largest[:5]))
    _measure_imports(runs)


def _functions(stage: str) -> list[FunctionSpec]:
    pipeline = load(REPOSITORY / "config" / "pipeline.toml", stage)
    return [function_spec(pipeline, function, ACCOUNT) for function in pipeline.functions.values()]


def _measure_imports(runs: int) -> None:
    spec = _functions("local")[0]
    recipe = layer_of(spec)
    if recipe is None:
        raise SystemExit("the pipeline has requirements")
    with tempfile.TemporaryDirectory() as directory:
        ready = Path(directory) / "with bytecode"
        zipfile.ZipFile(BytesIO(build(spec).content)).extractall(ready / "task")
        zipfile.ZipFile(build_layer(recipe).path).extractall(ready / "opt")
        without = shutil.copytree(ready, Path(directory) / "without")
        for folder in list(without.rglob("__pycache__")):
            shutil.rmtree(folder)
        stale = shutil.copytree(without, Path(directory) / "stale")
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(stale)], check=False, capture_output=True)
        for file in stale.rglob("*.py"):  # unpacked from a zip: not the times that the bytecode remembers
            os.utime(file, (315_532_800, 315_532_800))
        seconds: dict[str, list[float]] = {}
        for _ in range(runs + 1):  # in turns, so that the machine's moods meet all alike
            for place in (ready, without, stale):
                seconds.setdefault(place.name, []).append(_import(place))
    print(f"\ncold import of extract, seconds, median of {runs} processes")
    for name, values in seconds.items():
        print(f"{name:<28}{statistics.median(values[1:]):>14.2f}")


def _import(place: Path) -> float:
    site = next(path for path in sys.path if path.endswith("site-packages"))  # boto3, which the runtime has
    code = f"import sys; sys.path[:0] = {[str(place / 'task'), str(place / 'opt' / 'python')]!r}; "
    code += f"sys.path.append({site!r}); import lambdas.extract.handler"
    names = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-west-2", "INGESTION_BUCKET": "b"}
    names |= {"SOURCE_SECRET": "s", "METRICS_NAMESPACE": "n"}
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-S", "-B", "-c", code], env=names, check=True)
    return time.perf_counter() - begun


def _kib(size: int) -> str:
    return f"{size / 1024:>10.0f} KiB"


def _mib(size: int) -> str:
    return f"{size / MIB:>10.1f} MiB"


if __name__ == "__main__":
    main()
