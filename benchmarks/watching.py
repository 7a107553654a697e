"""How long `watch` takes from the save of a file until its code is live, on an emulated AWS.

A handler is written again and again while `lambda-script watch` runs. Live is when the alias names a version with the
new code, seen from outside by reading it every 10 ms; the last version is invoked, and must return what was saved last.

Run: python -m benchmarks.watching [--saves N]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3

from benchmarks.measuring import Account
from benchmarks.scene import emulated

REPOSITORY = Path(__file__).parents[1]
HANDLER = "def lambda_handler(event, context):\n    return {number}\n"
SCRIPT = """from lambda_script import Lambda_script

Lambda_script("handler.py", function_name_template="watched", schedule="0 6 * * *", memory=256).deploy()
"""
LONGEST = 60.0  # seconds for one save


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=15)
    saves = parser.parse_args().saves
    with tempfile.TemporaryDirectory() as directory, emulated() as account:
        seconds = measured(Path(directory), account, saves)
    shown = ", ".join(f"{each:.2f}" for each in seconds)
    print(f"from save to live, {saves} saves: median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s")
    print(shown)


def measured(folder: Path, account: Account, saves: int) -> list[float]:
    """The seconds of each save."""
    keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), account.keys, strict=True))
    endpoint = f"http://127.0.0.1:{account.port}"
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": account.region}
    client = boto3.client(
        "lambda",
        region_name=account.region,
        endpoint_url=endpoint,
        aws_access_key_id=account.keys[0],
        aws_secret_access_key=account.keys[1],
    )
    (folder / "app.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "handler.py").write_text(HANDLER.format(number=0), encoding="utf-8")
    command = [sys.executable, str(REPOSITORY / "deploy.py"), "watch", "app.py"]
    with (folder / "watch.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _await_change(client, "")
        time.sleep(1)
        return [_save(folder, client, number) for number in range(1, saves + 1)]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LONGEST)
        print((folder / "watch.log").read_text(encoding="utf-8"), file=sys.stderr)


def _save(folder: Path, client: Any, number: int) -> float:
    before = _live(client)
    begun = time.monotonic()
    (folder / "handler.py").write_text(HANDLER.format(number=number), encoding="utf-8")
    _await_change(client, before)
    seconds = time.monotonic() - begun
    answer = client.invoke(FunctionName="watched", Qualifier="live")
    assert json.load(answer["Payload"]) == number
    time.sleep(0.5)
    return seconds


def _live(client: Any) -> str:
    try:
        found = client.get_function_configuration(FunctionName="watched", Qualifier="live")
    except client.exceptions.ResourceNotFoundException:
        return ""
    return str(found["CodeSha256"])


def _await_change(client: Any, before: str) -> None:
    begun = time.monotonic()
    while _live(client) == before:
        if time.monotonic() - begun > LONGEST:
            raise SystemExit(f"not live after {LONGEST:.0f} s")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
