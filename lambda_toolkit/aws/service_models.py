"""botocore's models of AWS's services, of which only those are looked for that a client is made for.

botocore lists the files of all its services, some four hundred folders, for each kind of file (models, endpoints,
pages), to know whether it has one. A deploy calls ten services.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader


class ServiceModels(Loader):  # type: ignore[misc]  # botocore has no types
    """botocore's loader, which answers about services that were asked for. Not thread-safe, as a session is not."""

    def __init__(self, extra_search_paths: list[str]) -> None:
        super().__init__(extra_search_paths)
        self._asked: set[str] = set()

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """The model, as botocore loads it. Raises UnknownServiceError where there is none of this kind."""
        self._asked.add(service_name)
        return super().load_service_model(service_name, type_name, api_version)

    def list_available_services(self, type_name: str) -> list[str]:
        """Those that were asked for and have such a file, sorted."""
        return [name for name in sorted(self._asked) if self._has(name, type_name)]

    def _has(self, service: str, type_name: str) -> bool:
        try:
            return bool(self.list_api_versions(service, type_name))
        except DataNotFoundError:
            return False


def loader(data_path: str | None) -> ServiceModels:
    """The loader of a session; ``data_path`` is its setting of further folders, as AWS_DATA_PATH has them."""
    folders = data_path.split(os.pathsep) if data_path else []
    return ServiceModels([str(Path(os.path.expandvars(folder)).expanduser()) for folder in folders])
