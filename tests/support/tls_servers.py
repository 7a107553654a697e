"""PostgreSQL with TLS. The embedded server is built without: a proxy adds it, or the system has a server with it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials
from lambda_toolkit.pipeline.local_stack.process import free_port

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
RULES = """
hostssl   all  tls_only    127.0.0.1/32  scram-sha-256
hostssl   all  plain_only  127.0.0.1/32  reject
hostnossl all  tls_only    127.0.0.1/32  reject
host      all  all         127.0.0.1/32  scram-sha-256
"""


@contextlib.contextmanager
def tls_proxy(server: Credentials, certificate: trustme.LeafCert) -> Iterator[Credentials]:
    """``server``, which has no TLS, behind a proxy on 127.0.0.1 that ends TLS where the client asks for it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_accept, args=(listener, context, (server.host, server.port)), daemon=True)
    thread.start()
    try:
        yield Credentials("127.0.0.1", listener.getsockname()[1], server.database, server.user, server.password)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _accept(listener: socket.socket, context: ssl.SSLContext, server: tuple[str, int]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, context, server), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, server: tuple[str, int]) -> None:
    with client, contextlib.suppress(OSError), socket.create_connection(server) as onward:
        first = client.recv(8, socket.MSG_WAITALL)
        talking = client
        if first == SSL_REQUEST:
            client.sendall(b"S")
            talking = context.wrap_socket(client, server_side=True)
        else:
            onward.sendall(first)
        back = threading.Thread(target=_pump, args=(onward, talking), daemon=True)
        back.start()
        _pump(talking, onward)
        onward.shutdown(socket.SHUT_WR)
        back.join(5)
        talking.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def system_binaries() -> Path | None:
    """Where the system has PostgreSQL's own programs, which are built with TLS; ``None`` where it has none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextlib.contextmanager
def system_server(binaries: Path, certificate: trustme.LeafCert) -> Iterator[Credentials]:
    """A server of the system's PostgreSQL with TLS on and RULES in its pg_hba.conf, as its superuser."""
    account: dict[str, Any] = {"user": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    directory = Path(tempfile.mkdtemp(prefix="postgres-tls-"))
    data, password = directory / "data", directory / "password"
    try:
        for path, content in (
            (password, b"secret"),
            (directory / "server.key", certificate.private_key_pem.bytes()),
            (directory / "server.crt", b"".join(blob.bytes() for blob in certificate.cert_chain_pems)),
        ):
            path.touch(mode=0o600)
            path.write_bytes(content)
        if account:
            for path in (directory, *directory.iterdir()):
                os.chown(path, pwd.getpwnam("postgres").pw_uid, -1)
        options = [f"--pwfile={password}", "--username=admin", "--auth=scram-sha-256", "--no-sync", f"--pgdata={data}"]
        subprocess.run([binaries / "initdb", *options], check=True, capture_output=True, cwd="/", **account)
        (data / "pg_hba.conf").write_text(RULES, encoding="utf-8")
        port = free_port()
        settings = {
            "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": directory, "ssl": "on",
            "ssl_cert_file": directory / "server.crt", "ssl_key_file": directory / "server.key", "fsync": "off",
        }  # fmt: skip
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *given], stderr=subprocess.DEVNULL, cwd="/", **account
        )
        try:
            yield Credentials("127.0.0.1", port, "postgres", "admin", "secret")
        finally:
            server.terminate()
            server.wait(10)
    finally:
        shutil.rmtree(directory)
