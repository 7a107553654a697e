"""What a function may import although nothing has packaged it, in each version of Python."""

from __future__ import annotations

import pytest

from lambda_toolkit.packaging.imports.runtime_modules import is_provided, is_standard, other_versions, standard_modules

VERSIONS = [(3, minor) for minor in range(9, 15)]

PROVIDED = "boto3 botocore s3transfer jmespath dateutil six urllib3 awslambdaric simplejson pip"
"""What Lambda's images for Python have beside the standard library, in every version."""

REMOVED = {  # https://docs.python.org/3/whatsnew/, "Removed": the first version without them
    (3, 10): "formatter parser symbol",
    (3, 11): "binhex",
    (3, 12): "asynchat asyncore distutils imp smtpd",
    (
        3,
        13,
    ): """aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap nis nntplib ossaudiodev pipes sndhdr spwd sunau
        telnetlib uu xdrlib""",
}
ADDED = {"tomllib": (3, 11), "annotationlib": (3, 14), "compression": (3, 14)}
OTHER_SYSTEMS = "msilib msvcrt nt winreg winsound _winapi _msi _overlapped _scproxy"


@pytest.mark.parametrize("version", VERSIONS)
def test_runtime_has_the_sdk_and_its_own_client(version: tuple[int, int]) -> None:
    assert [name for name in PROVIDED.split() if not is_provided(name, version)] == []
    assert is_provided("json", version)
    assert not is_provided("requests", version)
    assert is_provided("snapshot_restore_py", version) == (version >= (3, 12))
    assert is_provided("setuptools", version) == is_provided("pkg_resources", version) == (version < (3, 12))


@pytest.mark.parametrize("version", VERSIONS)
def test_standard_library_is_that_of_the_version(version: tuple[int, int]) -> None:
    there = set(standard_modules(version))
    for since, names in REMOVED.items():
        for name in names.split():
            assert is_standard(name, version) == (name in there) == (version < since), name
            assert bool(other_versions(name, version)) == (version >= since), name
    for name, first in ADDED.items():
        assert is_standard(name, version) == (name in there) == (version >= first), name
        assert bool(other_versions(name, version)) == (version < first), name
    assert there.isdisjoint(OTHER_SYSTEMS.split())
    assert {"json", "os", "sqlite3", "zoneinfo", "_thread"} <= there
    assert not is_standard("boto3", version)


def test_reason_names_the_version_that_has_the_module() -> None:
    assert other_versions("imp", (3, 12)) == "Python has no `imp` since 3.12"
    assert other_versions("tomllib", (3, 10)) == "Python has `tomllib` since 3.11 only"
    for name in OTHER_SYSTEMS.split():
        assert other_versions(name, (3, 12)) == f"`{name}` is a module of another operating system"
    assert other_versions("json", (3, 12)) is other_versions("nothere", (3, 12)) is None
