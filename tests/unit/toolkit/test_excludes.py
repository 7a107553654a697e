"""What must not be in a package: secrets under any name, links that lead outside, and what is not a file."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging.excludes import (
    credentials_folder,
    is_excluded_file,
    is_excluded_folder,
    requirement_filter,
    secret_reason,
)
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.spec.model import FunctionSpec
from tests.support.function_sources import HANDLER, names, write

SECRETS: Mapping[str, str | bytes] = {
    ".env": "PASSWORD=x",
    "prod.env": "PASSWORD=x",
    "certs/server.key": "x",
    "certs/id_rsa": "x",
    "certs/both.pem": "-----BEGIN CERTIFICATE-----\n...\n-----BEGIN RSA PRIVATE KEY-----\n",
    "certs/renamed.txt": "-----BEGIN PRIVATE KEY-----\n",
    "store.p12": "x",
    "credentials": "[default]",
    "main.tfstate": "{}",
    "PROD.ENV": "PASSWORD=x",
    "certs/ID_RSA": "x",
    "Server.KEY": "x",
    "service-account.json": "{}",
    "google.json": '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIE\\n"}',
    "values.yaml": "tls:\n  key: |\n    -----BEGIN EC PRIVATE KEY-----\n    MHcC\n",
    "marked.pem": "\ufeff-----BEGIN PRIVATE KEY-----\nMIIE\n",
    "wide.txt": "-----BEGIN PRIVATE KEY-----\nMIIE\n".encode("utf-16"),
    "deploy.pub": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n",
    ".env.example": "KEY=-----BEGIN RSA PRIVATE KEY-----\n",
    "old.asc": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
    "putty.txt": "PuTTY-User-Key-File-3: ssh-ed25519\n",
    "keys.py": 'KEY = """-----BEGIN PRIVATE KEY-----\n' + "M" * 64 + '\n"""\n',
    "escaped.py": 'KEY = "-----BEGIN RSA PRIVATE KEY-----\\n' + "M" * 64 + '"\n',
    "profile.txt": "[default]\naws_secret_access_key = " + "k" * 40 + "\n",
}
PUBLIC = {
    "certs/ca.pem": "-----BEGIN CERTIFICATE-----\n",
    "certs/id_rsa.pub": "ssh-rsa x",
    "reference.sqlite": "x",
    "check.py": 'HEADER = "-----BEGIN PRIVATE KEY-----"\nEXAMPLE = "aws_secret_access_key=..."\n',
    "public.txt": "-----BEGIN PUBLIC KEY-----\nMIIB\n",
    "monkey.txt": "x",
}


def test_secrets_are_excluded_and_named(tmp_path: Path) -> None:
    folders = {".aws/credentials": "x", ".git/config": "x", ".hg/hgrc": "x", ".svn/x": "x", ".terraform/x": "x"}
    source = write(tmp_path / "s", {"handler.py": HANDLER, **SECRETS, **PUBLIC, **folders, "node_modules/a.js": "x"})
    package = build(FunctionSpec("f", source))
    assert names(source) == sorted({"handler.py", *PUBLIC})
    hidden = {".env.example"}  # excluded before it is read: only its name could say something
    assert all(f"{name} (" in package.notes[0] for name in SECRETS if name not in hidden)
    assert "both.pem (it contains a private key)" in package.notes[0]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_asked_for_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"f.py": HANDLER, name: SECRETS[name]})
    file = tmp_path / name
    for different in (
        {"include": (file,)},
        {"extra_files": {"public.bin": file}},
        {"extra_files": {name: file.read_bytes()}},
    ):
        with pytest.raises(PackageError, match="must not be in a package: .*Secrets Manager"):
            build(FunctionSpec("f", tmp_path / "f.py", **different))  # type: ignore[arg-type]


def test_a_certificate_may_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path, {"f.py": HANDLER, **PUBLIC})
    assert "ca.pem" in names(tmp_path / "f.py", extra_files={"ca.pem": tmp_path / "certs/ca.pem"})


def test_folder_and_the_links_to_it_are_packaged(tmp_path: Path) -> None:
    """Both names are imported: `current`, and `v1` itself."""
    source = write(tmp_path / "s", {"handler.py": HANDLER, "v1/__init__.py": "", "v1/a.py": "", "z/b.txt": ""})
    for link, target in (("current", "v1"), ("again", "current"), ("z/v1", "../v1"), ("a.txt", "z/b.txt")):
        (source / link).symlink_to(target)
    package = build(FunctionSpec("f", source))
    folders = ("again", "current", "v1", "z/v1")
    expected = {
        "handler.py",
        "a.txt",
        "z/b.txt",
        *(f"{at}/{file}" for at in folders for file in ("__init__.py", "a.py")),
    }
    assert set(names(source)) == expected
    assert package.notes == ()


def test_links_that_lead_outside_are_excluded_and_named(tmp_path: Path) -> None:
    write(tmp_path, {"home/.aws/config": "[default]\n", "shared/x.py": "", "shared/y.py": "", "note.txt": "outside"})
    source = write(tmp_path / "s", {"handler.py": HANDLER, "key.pem": SECRETS["certs/both.pem"]})
    links = {"settings.ini": "home/.aws/config", "shared": "shared", "note.txt": "note.txt", "up": "."}
    for link, target in links.items():
        (source / link).symlink_to(tmp_path / target)
    (source / "public.txt").symlink_to("key.pem")
    (source / "inside.txt").symlink_to(tmp_path / "shared" / "y.py")

    secrets, others = build(FunctionSpec("f", source)).notes

    assert names(source) == ["handler.py"]
    assert "public.txt (it contains a private key)" in secrets
    for link, target in {**links, "inside.txt": "shared/y.py"}.items():
        assert f"{link} (it is a link that leads outside, to {os.path.normpath(tmp_path / target)})" in others
    shared = (tmp_path / "shared",)
    assert names(source, include=shared) == ["handler.py", "inside.txt", "shared/x.py", "shared/y.py", "x.py", "y.py"]


@pytest.mark.parametrize("given", ["include", "extra_files"])
def test_links_to_credentials_are_refused(tmp_path: Path, given: str) -> None:
    write(tmp_path, {"f.py": HANDLER, "home/.aws/config": "[default]\n", "home/.AWS/config": "", "prod.env": ""})
    for number, target in enumerate(("home/.aws/config", "home/.AWS/config", "prod.env")):
        link = tmp_path / f"harmless-{number}.txt"
        link.symlink_to(target)
        wanted = (link,) if given == "include" else {"data.txt": link}
        with pytest.raises(PackageError, match="must not be in a package"):
            build(FunctionSpec("f", tmp_path / "f.py", **{given: wanted}))  # type: ignore[arg-type]


def test_pipes_and_sockets_are_excluded_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a pipe waits for a writer: the build would never end."""
    source = write(tmp_path / "s", {"handler.py": HANDLER})
    os.mkfifo(source / "pipe")
    (source / "linked").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(source)  # the path of a socket has at most 107 characters
        listener.bind("a.sock")
    package = build(FunctionSpec("f", source))
    assert names(source) == ["handler.py"]
    assert all(f"{name} (it is not a file" in package.notes[0] for name in ("pipe", "a.sock", "linked"))
    for different in ({"include": (source / "pipe",)}, {"extra_files": {"x": source / "pipe"}}):
        with pytest.raises(PackageError, match=r"pipe"):
            build(FunctionSpec("f", source, **different))  # type: ignore[arg-type]


SECRET_NAMES = """
.env .env.local prod.env .envrc .netrc _netrc .pgpass .my.cnf .npmrc .pypirc .boto .s3cfg .dockercfg .dockerconfigjson
.git-credentials .htpasswd .vault_pass.txt credentials credentials.json application_default_credentials.json
service-account.json service_account_prod.json serviceaccount1.json client_secret_1.json client-secret.json kubeconfig
id_rsa id_rsa.old id_dsa id_ecdsa id_ed25519 server.key a.ppk a.p12 a.pfx a.jks a.keystore a.keytab a.kdbx a.ovpn
terraform.tfstate terraform.tfstate.backup prod.tfvars
"""
PUBLIC_NAMES = ".env.example .env.sample .env.template id_rsa.pub key.py secrets.py config.json tokens.txt monkey.pem"
SECRET_FOLDERS = ".aws .azure .docker .gcloud .gnupg .kube .ssh .terraform .git .hg .svn"


def test_each_name_of_a_secret_is_recognised() -> None:
    """In any case and folder; by what it is called, whatever is in it."""
    for name in SECRET_NAMES.split():
        for path in (name, f"deep/down/{name}", name.upper()):
            assert secret_reason(path, b"") == "files of that name usually contain secrets", path
    for name in PUBLIC_NAMES.split():
        assert secret_reason(name, b"x") is None, name
    for folder in SECRET_FOLDERS.split():
        assert secret_reason(f"a/{folder}/b/x.txt", b"") == f"it is in {folder}"
        assert secret_reason(folder, b"") is None, "the folder of that name alone"


def test_keys_are_recognised_by_their_content() -> None:
    key = b"A" * 40
    for content in (
        b"aws_secret_access_key = " + key,
        b"AWS_SECRET_ACCESS_KEY='" + key,
        b'"aws_secret_access_key": "' + key,
    ):
        for name in ("a.txt", "a.py"):
            assert secret_reason(name, content) == "it contains a secret access key of AWS"
            assert secret_reason(name, content[:-1]) is None
            assert secret_reason(name, content + b"A") is None, "it is longer than a key"
    assert secret_reason("a.txt", b"AGE-SECRET-KEY-1" + b"Q" * 20) == "it contains a private key"
    assert secret_reason("a.txt", b"AGE-SECRET-KEY-1" + b"Q" * 19) is None


def test_what_only_developers_need_is_not_packaged() -> None:
    """Of a function's source, at any depth; a name that only resembles one of them is."""
    folders = "__pycache__ tests node_modules venv f.egg-info .git .venv .idea"
    files = "a.pyc a.pyo a.pyi a~ a.swp a.orig Thumbs.db test_a.py a_test.py conftest.py .hidden"
    assert [name for name in folders.split() if not is_excluded_folder(name)] == []
    assert [name for name in files.split() if not is_excluded_file(name)] == []
    assert not any(map(is_excluded_folder, ["test", "venv2", "my_tests", "egg-info", "git", "data", "node_module"]))
    assert not any(map(is_excluded_file, ["a.py", "test.py", "testing.py", "a_tests.py", "a.pyx", "swp", "a.origin"]))


EXCLUDED = """
bin/tool bin/deep/tool .lock a-1.dist-info/RECORD a-1.dist-info/INSTALLER a-1.dist-info/REQUESTED
a-1.dist-info/direct_url.json a-1.dist-info/uv_cache.json __pycache__/a.txt a/__pycache__/b.txt a.pyc a/b.pyc a/b.h b.hh
a/b.hpp a/b.a a/b.la a/b.lib a/b.pyx a/b.pxd a/b.pxi a/b.pyi include/a tests/a.py a/tests/b/c.py test/a.py
share/doc/a share/man/man1/a docs/a.md examples/a.py
"""
INSTALLED = """
a/bin/tool a/.lock a-1.dist-info/METADATA a/RECORD a/b.py a/b.so a/b.c a/include/b.py a/test/b.py tests.py test.py
share/data a/docs/b.py a/examples/b.py a/atests/b.py hh
"""


def test_layer_leaves_out_what_no_function_runs() -> None:
    excluded = requirement_filter((), ())
    assert [path for path in EXCLUDED.split() if not excluded.fullmatch(path)] == []
    assert [path for path in INSTALLED.split() if excluded.fullmatch(path)] == []


def test_globs_of_a_layer_add_and_keep_files() -> None:
    excluded = requirement_filter(("a/data/**", "?.txt", "!a/data/kept/*.csv", "!docs/**"), ("boto3/**",))
    out = ["a/data/x/y.bin", "x.txt", "a/data/kept/deep/x.csv", "boto3/x.py", "bin/tool"]
    kept = ["a/data/kept/x.csv", "docs/a.md", "xy.txt", "a/x.txt", "a/boto3/x.py", "a/dataset/x"]
    assert [path for path in out if not excluded.fullmatch(path)] == []
    assert [path for path in kept if excluded.fullmatch(path)] == []


def test_header_of_a_key_is_no_secret_in_a_python_module() -> None:
    """A module may look for a header; only a key behind it is a secret. Other files are secrets with the header."""
    header, key = b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"A" * 32
    assert secret_reason("a.py", header) is None
    assert secret_reason("a.txt", header) == "it contains a private key"
    for between in (b"\n", rb"\n", b'" +\n"', b"',\n  '", b""):
        assert secret_reason("a.py", header + between + key) == "it contains a private key"
        assert secret_reason("a.py", header + between + key[2:]) is None
    for encoding in ("utf-16-le", "utf-16-be"):
        wide = ("\ufeff" + header.decode()).encode(encoding)
        assert secret_reason("a.txt", wide) == "it contains a private key"
    assert secret_reason("a.txt", b"x\nPuTTY-User-Key-File-2: ssh-rsa") == "it contains a private key"
    assert secret_reason("a.txt", b"see PuTTY-User-Key-File-2") is None


def test_folder_of_credentials_is_one_of_a_user() -> None:
    for folder in [".aws", ".azure", ".docker", ".gcloud", ".gnupg", ".kube", ".ssh"]:
        assert credentials_folder(f"home/{folder.upper()}/deep/x") == folder
        assert credentials_folder(f"home/{folder}") is None, "a file of that name"
    assert credentials_folder("home/.git/config") is credentials_folder("home/.terraform/x") is None
