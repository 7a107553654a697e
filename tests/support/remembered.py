"""What botocore and moto work out again for each client, call and test, worked out once: a fifth of a test's time."""

from __future__ import annotations

from functools import cache

import botocore.session
import moto.core.models
import moto.core.responses
from botocore.hooks import EventAliaser
from botocore.loaders import create_loader
from moto.core.utils import method_names_from_class

_ALIASES: dict[str, str] = {}  # botocore's names of events by the ones that handlers are registered for
_create = EventAliaser.__init__


def _create_with_known_aliases(aliaser: EventAliaser, *arguments: object) -> None:
    _create(aliaser, *arguments)
    aliaser._alias_name_cache = _ALIASES


def remember() -> None:
    """Share it among all clients of this process. moto also stops to answer what no client of botocore asks."""
    EventAliaser.__init__ = _create_with_known_aliases
    botocore.session.create_loader = cache(create_loader)  # with the models of AWS's services that it has read
    moto.core.responses.method_names_from_class = cache(method_names_from_class)  # type: ignore[attr-defined]
    moto.core.models.RESPONSES_METHODS.clear()  # 1,288 patterns for `requests`, compiled at each start
