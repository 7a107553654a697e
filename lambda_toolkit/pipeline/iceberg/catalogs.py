"""Where published tables are: the Glue Data Catalog with files in S3, or a folder on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog

from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.target import Target

FOLDER = "iceberg/"  # the prefix of the tables' files in the bucket
CATALOG_FILE = "catalog.db"  # of a folder: SQLite


def folder_catalog(folder: Path) -> Catalog:
    """The catalog in ``folder``, which is created: one SQLite file beside the tables. Raises CommandError."""
    from pyiceberg.catalog.sql import SqlCatalog

    path = folder.resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"The folder {path} cannot be created: {error.strerror}.") from error
    return SqlCatalog("folder", uri=f"sqlite:///{path / CATALOG_FILE}", warehouse=path.as_uri())


def glue_catalog(target: Target, bucket: str) -> Catalog:
    """The Glue Data Catalog of ``target``, with the files in ``bucket``. Raises CommandError without credentials."""
    from pyiceberg.catalog.glue import GlueCatalog

    properties = {
        "warehouse": f"s3://{bucket}/{FOLDER.rstrip('/')}",
        "client.region": target.pipeline.region,
        **_credentials(target),
    }
    if endpoint := target.environ.get("AWS_ENDPOINT_URL"):
        properties |= {"glue.endpoint": endpoint, "s3.endpoint": endpoint}
    return GlueCatalog("glue", **properties)


def _credentials(target: Target) -> dict[str, str]:
    """Those that boto3 finds, which pyarrow's S3 does not all find itself; of a local stack its own."""
    import botocore.session

    if target.is_local:
        found = {"client.access-key-id": "AWS_ACCESS_KEY_ID", "client.secret-access-key": "AWS_SECRET_ACCESS_KEY"}
        return {name: target.environ[variable] for name, variable in found.items()}
    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        raise CommandError("There are no credentials of AWS. Set AWS_PROFILE, or log in as the AWS CLI does.")
    frozen = credentials.get_frozen_credentials()
    token = {"client.session-token": frozen.token} if frozen.token else {}
    return {"client.access-key-id": frozen.access_key, "client.secret-access-key": frozen.secret_key, **token}
