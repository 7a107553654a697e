"""From an empty environment and the URL of a database to a compared warehouse, with a stopwatch: ``make stopwatch``.

Installs the wheel of this checkout as a user does, from the package index and without a cache, and runs the installed
command in an empty folder: once with the star that ``init --from`` proposes, once with a mirror. The database is the
rental shop of the end-to-end tests, on a server of its own, read by a role that has SELECT alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from tests.support.databases import database_of, execute, run
from tests.support.installation import build_distributions, copy_what_is_distributed, install

LIMIT = 120.0  # seconds
SCHEMA = Path(__file__).parent / "end_to_end" / "schemas" / "rental.sql"
PROJECTS: Mapping[str, tuple[str, ...]] = {"star": (), "mirror": ("--mirror",)}


class Stopwatch:
    """Runs commands, with their screens shown, and adds up their seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count what the block takes as ``name``."""
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun
        print(f"--- {name}: {self.seconds[name]:.1f} s", flush=True)


@contextmanager
def rental_shop(directory: Path) -> Iterator[str]:
    """The URL of the rental shop, for a role that has SELECT alone."""
    server = postgres_server.start(directory)
    try:
        run(database_of(server, "postgres"), "CREATE DATABASE rental")
        shop = database_of(server, "rental")
        execute(shop, SCHEMA.read_text(encoding="utf-8"))
        execute(
            shop,
            "CREATE ROLE reader LOGIN PASSWORD 'a password'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        )
        yield f"postgresql://reader:a%20password@{server.host}:{server.port}/rental"
    finally:
        postgres_server.remove(directory)


def command(*arguments: str, where: Path) -> str:
    """What the installed command prints in the folder ``where``; its progress goes to the terminal."""
    words = ["lambda-script", *arguments]
    done = subprocess.run(words, cwd=where, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, flush=True)
    return done.stdout


def main(python: str) -> int:
    """Run it all with a Python; returns 0 where everything agrees, and each project took less than the limit."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="stopwatch-") as folder, rental_shop(Path(folder) / "server") as url:
        root = Path(folder)
        (root / "copy").mkdir()
        wheel, _ = build_distributions(copy_what_is_distributed(root / "copy"), root / "dist")
        root.chmod(0o755)  # the server's account passes through it
        own = {
            "RENTAL": url,
            "HOME": str(root),
            "UV_CACHE_DIR": str(root / "uv"),
            "XDG_CACHE_HOME": str(root / "cache"),
        }
        os.environ |= {**own, "PATH": f"{root / 'environment' / 'bin'}:{os.environ['PATH']}"}
        with watch.timed("install"):
            install(wheel, "local", root / "environment", python, offline=False)
        agree = []
        for name, options in PROJECTS.items():
            project = root / name
            project.mkdir()
            with watch.timed(f"{name}: init"):
                command("init", "--from", "RENTAL", *options, where=project)
            with watch.timed(f"{name}: local run"):
                document = json.loads(command("local", "run", "--source-url", "RENTAL", "--json", where=project))
            agree.append(document["agrees"] and not [table for table in document["tables"] if table["differences"]])
    installed = watch.seconds["install"]
    taken = {
        name: installed + sum(seconds for step, seconds in watch.seconds.items() if step.startswith(name))
        for name in PROJECTS
    }
    for name, seconds in taken.items():
        print(f"From an empty environment to a compared warehouse, {name}: {seconds:.0f} s of {LIMIT:.0f}")
    return 0 if all(agree) and max(taken.values()) < LIMIT else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="the Python of the environment; default: this one")
    sys.exit(main(parser.parse_args().python))
