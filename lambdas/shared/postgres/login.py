"""How a function logs in to a database of the pipeline: by the secret that its environment names, or by IAM.

With IAM authentication there is no password: AWS's SDK signs a token with the credentials of the function's role,
without a request, and the server takes it for 15 minutes as the password of a new connection. Who has the token may log
in, so the server is verified first. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

from __future__ import annotations

import os

from .. import runtime
from .credentials import Credentials, is_by_iam


def credentials_of(database: str) -> Credentials:
    """The credentials of ``database``, ``source`` or ``warehouse``. Read at each call: a password may be rotated.

    Raises PipelineError as ``Credentials.from_secret`` does, and where the function was deployed without them.
    """
    name, role = database.upper(), f"the {database}"
    connection = os.environ.get(f"{name}_CONNECTION", "")
    if is_by_iam(connection):
        sign = runtime.client("rds").generate_db_auth_token
        return Credentials.by_iam(connection, sign, f"IAM authentication, {name}_CONNECTION", role)
    secret = runtime.setting(f"{name}_SECRET")
    return Credentials.from_secret(runtime.client("secretsmanager"), secret, role, connection)
