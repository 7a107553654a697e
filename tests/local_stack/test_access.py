"""Who can use the local stack: whoever has its key. Other users of the machine and web pages are refused.

Each case below is a row of docs/access.md.
"""

import hashlib
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from lambda_toolkit.pipeline.local_stack.description import Stack
from tests.support.account import Account

pytestmark = pytest.mark.xdist_group("stack")

LISTING = "/2015-03-31/functions"
TAGGING = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.ListSecrets"}
OTHER_USER = 54321  # a user id that has no account and owns nothing
IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"
CODE = "def handle(event, context):\n    return 'fine'\n"


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    def with_headers(self, **headers: str) -> "Sent":
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def signed(
    stack: Stack,
    *,
    method: str = "GET",
    path: str = LISTING,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    secret: str | None = None,
    service: str = "lambda",
    age: timedelta = timedelta(),
) -> Sent:
    """A request that botocore signed: with the stack's key and secret unless others are given."""
    request = AWSRequest(method, f"{stack.aws_endpoint_url}{path}", HTTPHeaders.from_dict(dict(headers or {})), body)
    keys = Credentials(key or stack.access_key_id, secret or stack.secret_access_key)
    then = datetime.now(UTC) - age
    with mock.patch("botocore.auth.get_current_datetime", return_value=then.replace(tzinfo=None)):
        (S3SigV4Auth if service == "s3" else SigV4Auth)(keys, service, stack.region).add_auth(request)
    return Sent(method, path, {**dict(request.headers), "Host": stack.aws_endpoint_url.removeprefix("http://")}, body)


def presigned(stack: Stack, path: str, expires: int = 60, service: str = "lambda") -> str:
    request = AWSRequest("GET", f"{stack.aws_endpoint_url}{path}")
    keys = Credentials(stack.access_key_id, stack.secret_access_key)
    SigV4QueryAuth(keys, service, stack.region, expires=expires).add_auth(request)
    return str(request.url).removeprefix(stack.aws_endpoint_url)


def send(stack: Stack, sent: Sent) -> Answer:
    connection = http.client.HTTPConnection(stack.aws_endpoint_url.removeprefix("http://"), timeout=10)
    try:
        connection.putrequest(sent.method, sent.path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": connection.host + f":{connection.port}", **sent.headers}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(sent.body)))
        connection.endheaders(sent.body)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())
    finally:
        connection.close()


def unsigned(method: str, path: str, body: bytes = b"", **headers: str) -> Callable[[Stack], Sent]:
    return lambda stack: Sent(method, path, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def claims(key: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential={key}/20261129/eu-west-2/lambda/aws4_request, SignedHeaders=host, Signature=0"


def guessed_role(stack: Stack, name: str = "guessed") -> Sent:
    """Signed with the keys that ministack derives from the names of a function and its role."""
    function = f"arn:aws:lambda:{stack.region}:{stack.account_id}:function:{name}"
    digest = hashlib.sha256(f"{function}:arn:aws:iam::{stack.account_id}:role/{name}-role".encode()).hexdigest()
    token = hashlib.sha256(f"token:{digest}".encode()).hexdigest()
    secret = hashlib.sha256(f"secret:{digest}".encode()).hexdigest()
    key = f"ASIA{digest[:16].upper()}"
    return signed(
        stack, method="POST", path="/", body=IDENTITY, service="sts", key=key, secret=secret,
        headers={"X-Amz-Security-Token": token},
    )  # fmt: skip


REFUSED: Mapping[str, Callable[[Stack], Sent]] = {
    "no key": unsigned("GET", LISTING),
    "no key, to invoke": unsigned("POST", f"{LISTING}/guessed/invocations", b"{}"),
    "no key, to read a secret": unsigned("POST", "/", b"{}", **TAGGING),
    "no key, an object": unsigned("GET", "/local-access/object"),
    "no key, the health": unsigned("GET", "/_ministack/health"),
    "no key, another health": unsigned("GET", "/health"),
    "no key, the code": unsigned("GET", "/_ministack/lambda-code/000000000000/eu-west-2/guessed"),
    "no key, to reset": unsigned("POST", "/_ministack/reset"),
    "no key, to configure": unsigned("POST", "/_ministack/config", b"{}"),
    "key test": unsigned("GET", LISTING, Authorization=claims("test")),
    "twelve digits": unsigned("GET", LISTING, Authorization=claims("000000000000")),
    "the key's id alone": lambda stack: Sent("GET", LISTING, {"Authorization": claims(stack.access_key_id)}),
    "the key's id in version 2": lambda stack: Sent("GET", LISTING, {"Authorization": f"AWS {stack.access_key_id}:x"}),
    "the key's id in the query": lambda stack: Sent("GET", f"{LISTING}?AWSAccessKeyId={stack.access_key_id}", {}),
    "key test, signed": lambda stack: signed(stack, key="test", secret="test"),
    "twelve digits, signed": lambda stack: signed(stack, key="000000000000", secret="test"),
    "twelve digits, the secret": lambda stack: signed(stack, key="000000000000"),
    "another key": lambda stack: signed(stack, key="AKIA0000000000000000"),
    "another secret": lambda stack: signed(stack, secret="wrong"),
    "another secret, S3": lambda stack: signed(stack, secret="wrong", service="s3", path="/local-access/object"),
    "another token": lambda stack: signed(stack, headers={"X-Amz-Security-Token": "token"}),
    "a role's guessed key": guessed_role,
    "another body": lambda stack: replace(
        signed(stack, method="POST", path="/", headers=TAGGING, body=b"{}", service="secretsmanager"), body=b"{ }"
    ),
    "another body, S3": lambda stack: replace(
        signed(stack, method="PUT", path="/local-access/object", body=b"x", service="s3"), body=b"y"
    ),
    "an unsigned body": lambda stack: signed(stack, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}),
    "another path": lambda stack: replace(signed(stack), path=f"{LISTING}/other"),
    "another query": lambda stack: replace(signed(stack), path=f"{LISTING}?MaxItems=1"),
    "another method": lambda stack: replace(signed(stack), method="DELETE"),
    "another target": lambda stack: signed(
        stack, method="POST", path="/", headers=TAGGING, body=b"{}", service="secretsmanager"
    ).with_headers(X_Amz_Target="secretsmanager.GetSecretValue"),
    "an unsigned header": lambda stack: signed(stack).with_headers(X_Amz_Target="secretsmanager.ListSecrets"),
    "signed 16 minutes ago": lambda stack: signed(stack, age=timedelta(minutes=16)),
    "signed in 16 minutes": lambda stack: signed(stack, age=timedelta(minutes=-16)),
    "signed twice": lambda stack: replace(signed(stack), path=presigned(stack, LISTING)),
    "presigned, changed": lambda stack: Sent("GET", presigned(stack, "/_ministack/health") + "0", {}),
    "presigned, for eight days": lambda stack: Sent("GET", presigned(stack, LISTING, expires=8 * 24 * 3600), {}),
    "a page's fetch": lambda stack: signed(stack).with_headers(Origin="https://page.example"),
    "a page's fetch, no key": unsigned("GET", LISTING, Origin="null"),
    "a page's form": unsigned("POST", f"{LISTING}/guessed/invocations", b"a=b", Origin="https://page.example"),
    "a page's picture": lambda stack: Sent("GET", presigned(stack, LISTING), {"Sec-Fetch-Site": "cross-site"}),
    "a page's preflight": unsigned(
        "OPTIONS", LISTING, Origin="https://page.example", Access_Control_Request_Method="POST"
    ),
    "a preflight without a page": unsigned("OPTIONS", LISTING),
    "another host": lambda stack: signed(stack).with_headers(Host="rebound.example"),
    "another host of this machine": lambda stack: signed(stack).with_headers(Host="127.0.0.1.rebound.example:80"),
}
SERVED: Mapping[str, Callable[[Stack], Sent]] = {
    "the key": signed,
    "the key, 14 minutes ago": lambda stack: signed(stack, age=timedelta(minutes=14)),
    "the key, a path to encode": lambda stack: signed(stack, path=f"{LISTING}?Marker=%20%2F%2B~"),
    "the key, a body": lambda stack: signed(
        stack, method="POST", path="/", headers=TAGGING, body=b"{}", service="secretsmanager"
    ),
    "the key, the health": lambda stack: signed(stack, path="/_ministack/health"),
    "presigned": lambda stack: Sent("GET", presigned(stack, LISTING), {}),
    "presigned, opened by hand": lambda stack: Sent("GET", presigned(stack, LISTING), {"Sec-Fetch-Site": "none"}),
}


@pytest.mark.parametrize("request_of", [pytest.param(case, id=name) for name, case in REFUSED.items()])
def test_request_is_refused(stack: Stack, request_of: Callable[[Stack], Sent]) -> None:
    answer = send(stack, request_of(stack))

    assert answer.status in (400, 403), answer
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert stack.secret_access_key.encode() not in answer.body


@pytest.mark.parametrize("request_of", [pytest.param(case, id=name) for name, case in SERVED.items()])
def test_request_is_served(stack: Stack, request_of: Callable[[Stack], Sent]) -> None:
    answer = send(stack, request_of(stack))

    assert answer.status == 200, answer
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_document_lists_what_is_tried() -> None:
    document = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.+) \| (refused|served) \|$", document, re.MULTILINE))
    assert rows == {**dict.fromkeys(REFUSED, "refused"), **dict.fromkeys(SERVED, "served")}


@pytest.mark.parametrize("service", ["lambda", "s3", "iam", "sts", "sns", "logs", "cloudwatch", "secretsmanager"])
def test_wrong_secret_is_an_error_that_boto3_can_read(stack: Stack, service: str) -> None:
    client = boto3.client(
        service,
        endpoint_url=stack.aws_endpoint_url,
        region_name=stack.region,
        aws_access_key_id=stack.access_key_id,
        aws_secret_access_key="wrong",
    )
    calls = {
        "lambda": "list_functions", "s3": "list_buckets", "iam": "list_roles", "sts": "get_caller_identity",
        "sns": "list_topics", "logs": "describe_log_groups", "cloudwatch": "describe_alarms",
        "secretsmanager": "list_secrets",
    }  # fmt: skip

    with pytest.raises(ClientError) as caught:
        getattr(client, calls[service])()

    assert caught.value.response["Error"]["Code"] in ("SignatureDoesNotMatch", "InvalidSignatureException")


def test_websocket_is_refused(stack: Stack) -> None:
    address = stack.aws_endpoint_url.removeprefix("http://")
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"GET /_aws/execute-api/a/b HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b" 403 " in connection.recv(1000)


def test_code_is_downloaded_with_the_signed_address_alone(account: Account) -> None:
    account.function("downloaded", CODE)
    location = account.client("lambda").get_function(FunctionName="downloaded")["Code"]["Location"]
    path = location.removeprefix(account.stack.aws_endpoint_url)

    assert send(account.stack, Sent("GET", path, {})).body[:2] == b"PK"
    assert send(account.stack, Sent("GET", path.partition("?")[0], {})).status == 403
    assert send(account.stack, Sent("GET", path.replace("downloaded", "other"), {})).status == 403


def test_role_is_kept_from_the_emulators_own_paths(account: Account) -> None:
    """A function has the keys of its role; the emulator's paths are the administrator's."""
    account.function("curious", "import os\ndef handle(event, context):\n    return dict(os.environ)\n")
    _, found = account.invoke("curious")
    role: dict[str, Any] = {
        "key": found["AWS_ACCESS_KEY_ID"],
        "secret": found["AWS_SECRET_ACCESS_KEY"],
        "headers": {"X-Amz-Security-Token": found["AWS_SESSION_TOKEN"]},
    }
    stack = account.stack

    assert send(stack, signed(stack, path="/", method="POST", body=IDENTITY, service="sts", **role)).status == 200
    assert send(stack, signed(stack, **role)).status == 403  # its policy does not permit it
    assert send(stack, signed(stack, path="/_ministack/health", **role)).status == 403
    assert send(stack, signed(stack, path="/_ministack/reset", method="POST", **role)).status == 403
    assert send(stack, guessed_role(stack, "curious")).status == 403


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    """One port for the emulated AWS, one for PostgreSQL and one for messages to Slack, on the loopback interface."""
    ports = {int(stack.aws_endpoint_url.rpartition(":")[2]), stack.source.port, urlsplit(stack.slack_url).port}
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for identity in stack.processes.values()
        for process in (psutil.Process(identity.pid), *psutil.Process(identity.pid).children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port) for port in ports}


def test_files_are_their_owners_alone(stack: Stack, account: Account) -> None:
    account.client("sns").create_topic(Name="local-access")
    open_to_others = {}
    for path in (stack.directory, *stack.directory.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or any(parent.is_symlink() for parent in path.parents):
            continue
        others = stat.S_IMODE(mode) & 0o077
        passing = 0o011 if os.geteuid() == 0 and path in (stack.directory, stack.directory / "postgres") else 0
        if others & ~passing and not _is_closed(path.parent, stack.directory):
            open_to_others[path.relative_to(stack.directory).as_posix()] = oct(mode)
    assert open_to_others == {}


def _is_closed(directory: Path, top: Path) -> bool:
    """Whether a directory above keeps others out."""
    return any(not parent.stat().st_mode & 0o077 for parent in (directory, *directory.parents) if top in parent.parents)


AS_OTHER_USER = """
import encodings.idna, http.client, json, os, socket, struct, sys

os.setgroups([]), os.setgid(OTHER_USER), os.setuid(OTHER_USER)
emulator, postgres, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
found = {"user": os.geteuid(), "read": [], "listed": []}
for path in sys.argv[4:]:
    try:
        open(path, "rb").read(1)
        found["read"].append(path)
    except OSError:
        pass
try:
    found["listed"] = os.listdir(directory)
except OSError:
    pass
connection = http.client.HTTPConnection("127.0.0.1", emulator, timeout=10)
claim = "AWS4-HMAC-SHA256 Credential=test/20261129/eu-west-2/lambda/aws4_request, SignedHeaders=host, Signature=0"
connection.request("POST", "/2015-03-31/functions/reachable/invocations", "{}", {"Authorization": claim})
found["invoked"] = connection.getresponse().status
with socket.create_connection(("127.0.0.1", postgres), timeout=10) as server:
    startup = struct.pack("!i", 196608) + b"user\\0totesys_admin\\0database\\0totesys\\0\\0"
    server.sendall(struct.pack("!i", len(startup) + 4) + startup)
    reply = server.recv(100)
    found["postgres"] = [reply[:1].decode(), struct.unpack("!i", reply[5:9])[0]]
print(json.dumps(found))
"""
SASL = 10  # https://www.postgresql.org/docs/current/protocol-message-formats.html, AuthenticationSASL


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_gets_nothing(account: Account) -> None:
    account.function("reachable", CODE)
    stack = account.stack
    files = [Path(f"/proc/{process.pid}/environ") for process in stack.processes.values()]
    files += [path for path in stack.directory.rglob("*") if path.is_file()]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in stack.directory.parents}
    closed = {path: mode for path, mode in modes.items() if not mode & 0o001}
    for path, mode in closed.items():  # pytest's own directories are closed, and would prove nothing
        path.chmod(mode | 0o001)
    try:
        ports = (stack.aws_endpoint_url.rpartition(":")[2], str(stack.source.port))
        script = AS_OTHER_USER.replace("OTHER_USER", str(OTHER_USER))
        command = [sys.executable, "-I", "-c", script, *ports, stack.directory, *files[:500]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for path, mode in closed.items():
            path.chmod(mode)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "user": OTHER_USER, "read": [], "listed": [], "invoked": 403, "postgres": ["R", SASL],
    }  # fmt: skip
