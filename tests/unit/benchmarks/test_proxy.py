"""The benchmarks' proxy forwards requests, counts them, and returns errors in the format of each protocol."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.operations import Operation
from benchmarks.proxy import Proxy, Refusal

ONE_BUCKET = b"<ListAllMyBucketsResult><Buckets><Bucket><Name>lake</Name></Bucket></Buckets></ListAllMyBucketsResult>"


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: list[bytes] = []  # noqa: RUF012  (one server for each test, which empties it)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (ONE_BUCKET[:10], ONE_BUCKET[10:], b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def do_PUT(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    Upstream.bodies.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with Proxy(server.server_address[1]) as proxy:
            yield proxy
    finally:
        server.shutdown()
        server.server_close()


def client(proxy: Proxy, service: str):
    return boto3.client(
        service,
        endpoint_url=proxy.url,
        region_name="eu-west-2",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_answers_and_bodies_pass_unchanged_and_are_counted(proxy) -> None:
    s3 = client(proxy, "s3")
    with proxy.counted() as tally:
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["lake"]
        s3.put_object(Bucket="lake", Key="a/b", Body=b"x" * 100_000, ChecksumAlgorithm="CRC32")
        assert s3.head_object(Bucket="lake", Key="a/b")["ContentLength"] == 1000
    s3.list_buckets()
    assert [str(operation) for operation in tally.operations] == ["s3:ListBuckets", "s3:PutObject", "s3:HeadObject"]
    assert [operation.name for operation in tally.writes] == ["PutObject"]
    assert Upstream.bodies == [b"x" * 100_000]


def test_a_delay_is_added_to_each_call(proxy) -> None:
    s3 = client(proxy, "s3")
    proxy.delay = 0.05
    begun = time.perf_counter()
    s3.list_buckets()
    assert time.perf_counter() - begun >= 0.05


@pytest.mark.parametrize(
    ("service", "call", "parameters"),
    [
        ("s3", "list_buckets", {}),
        ("iam", "get_role", {"RoleName": "r"}),
        ("events", "list_rules", {}),
        ("lambda", "list_functions", {}),
    ],
)
def test_a_refusal_is_said_as_the_service_would(proxy, service, call, parameters) -> None:
    def fault(operation: Operation) -> Refusal:
        return Refusal("ThrottlingException", f"not {operation} again", 400)

    proxy.fault = fault
    with pytest.raises(ClientError) as refused:
        getattr(client(proxy, service), call)(**parameters)
    assert refused.value.response["Error"]["Code"] == "ThrottlingException"
    assert f"not {service}:" in refused.value.response["Error"]["Message"]
