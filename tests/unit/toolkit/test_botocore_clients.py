"""Which region and credentials are used, and the error when they are missing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lambda_script import Lambda_script, ToolkitError
from lambda_toolkit.aws.client import Aws


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_region_argument_precedes_boto3_and_aws_region(monkeypatch) -> None:
    """The region that is named goes before boto3's and that before AWS region."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Aws().region == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert Aws().region == "eu-west-2"
    assert Aws("eu-west-3").region == "eu-west-3"


@pytest.mark.parametrize(
    ("region", "said"),
    [(None, "Cannot talk to AWS: You must specify a region. Set AWS_REGION"), ("eu-west-2", "Unable to locate cred")],
)
def test_missing_region_or_credentials_is_reported_once(tmp_path: Path, region: str | None, said: str) -> None:
    source = tmp_path / "report.py"
    source.write_text("def lambda_handler(event, context): ...\n", encoding="utf-8")
    with pytest.raises(ToolkitError) as caught:
        Lambda_script(source, tmp_path / "report.zip", schedule="@daily", region=region).plan()
    assert str(caught.value).count(said) == 1


class _EmptyAnswers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """A client of a server that answers everything with an empty object."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = HTTPServer(("127.0.0.1", 0), _EmptyAnswers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Aws("eu-west-2", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def test_only_invoke_waits_as_long_as_a_function_may_run(answering: Aws) -> None:
    answering.call("lambda", "list_functions")
    assert [client.meta.config.read_timeout for client in answering._clients._clients.values()] == [60]
    answering.call("lambda", "invoke", FunctionName="any")
    assert [client.meta.config.read_timeout for client in answering._clients._clients.values()] == [60, 930]
    assert answering.client("lambda").meta.config.read_timeout == 60


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this platform has another name for it")
def test_connection_of_an_invocation_is_probed(answering: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    ]
    connect = socket.socket.connect

    def record(self: socket.socket, address: object) -> None:
        seen.append([self.getsockopt(*option) for option in options])
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", record)
    answering.call("lambda", "invoke", FunctionName="any")
    assert seen == [[1, 60, 30]]


@pytest.mark.parametrize("frozen", [False, True])
def test_models_become_old_without_a_visit(frozen: bool) -> None:
    """In a process of its own: this one has frozen its objects."""
    program = f"""
import gc
from lambda_toolkit.aws.botocore_clients import _garbage_collection_paused
if {frozen}:
    gc.freeze()
before, count, counted = gc.get_freeze_count(), gc.get_freeze_count, []
gc.get_freeze_count = lambda: counted.append(1) or count()
with _garbage_collection_paused():
    pass
with _garbage_collection_paused():
    made = [[] for _ in range(5000)]
assert gc.isenabled()
young = {{id(each) for age in (0, 1) for each in gc.get_objects(generation=age)}}
print(sum(id(each) in young for each in made), count() >= before > 0, len(counted))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    young, stays_frozen, counted = done.stdout.split()
    assert (young == "0", stays_frozen == "True") == ((False, True) if frozen else (True, False))
    assert counted == ("1" if frozen else "2"), "what is frozen is counted one by one, so only once"
