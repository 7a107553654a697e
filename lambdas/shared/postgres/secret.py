"""Database credentials from Secrets Manager."""

from __future__ import annotations

from .. import clients
from ..errors import PipelineError
from .connection import Credentials


def credentials(variable: str) -> Credentials:
    """The database credentials in the secret whose name is in the environment variable ``variable``.

    Reads the secret at each call, so that the next run uses a rotated password. Raises PipelineError when the variable
    is not set, when there is no such secret, and when it does not contain credentials.
    """
    name = clients.setting(variable)
    secrets = clients.client("secretsmanager")
    try:
        answer = secrets.get_secret_value(SecretId=name)
    except secrets.exceptions.ResourceNotFoundException as error:
        raise PipelineError(
            f"The secret {name} does not exist. Set the environment variable that the configuration names for it "
            "([secrets.*]), then deploy."
        ) from error
    return Credentials.from_json(answer.get("SecretString", ""), f"secret {name}")
