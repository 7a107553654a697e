"""Where a function's modules are on Lambda: in its package, its layer, or the runtime."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lambda_toolkit.packaging.archive import Entry
from lambda_toolkit.packaging.imports.compiled_modules import Platform, is_compiled, made_for, module_name
from lambda_toolkit.packaging.imports.runtime_modules import is_provided


@dataclass(frozen=True)
class Located:
    """What an import of a module finds."""

    files: tuple[str, ...] = ()
    """The sources in the package that run, in order: each ``__init__.py`` on the way, and the module."""
    missing: str = ""
    """The first part that does not exist, such as ``a.b`` of ``a.b.c``. Empty: the module exists."""
    wrong: str = ""
    """A compiled file that would be the module if it were made for Lambda."""
    is_own: bool = False
    """Whether it is in the package."""
    is_namespace: bool = False
    """Whether it is a folder without ``__init__.py``."""


def module_names(files: Iterable[str]) -> frozenset[str]:
    """The paths of the modules and of the folders among ``files``, without suffixes: ``a/b`` of ``a/b/__init__.py``.

    A folder without ``__init__.py`` ends with ``/``.
    """
    found: set[str] = set()
    for file in files:
        if file.endswith(".py"):
            path = file.removesuffix(".py")
            found.add(path.removesuffix("/__init__"))
        elif is_compiled(file):
            found.add(module_name(file))
        else:
            continue
        found.update(f"{parent}/" for parent in PurePosixPath(file).parents if parent.name)
    return frozenset(found)


class ModuleIndex:
    """The modules that a function can import.

    ``layer`` are those of its layer, from :func:`module_names`; ``None`` where they are not known: then everything that
    the package does not have may be there. ``roots`` are the folders of the package that Python searches.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        layer: Collection[str] | None,
        platform: Platform,
        roots: Sequence[str],
        given: Collection[str],
    ) -> None:
        self._entries = entries
        self._layer: Collection[str] = layer or ()
        self._knows_layer = layer is not None
        self._platform = platform
        self._roots = tuple(roots)
        self._given = given
        self.unusable = {
            name: reason
            for name, entry in entries.items()
            if is_compiled(name) and (reason := made_for(name, entry.content, platform))
        }
        self._compiled = {module_name(name) for name in entries if is_compiled(name) and name not in self.unusable}
        self._folders = {str(parent) for name in entries for parent in PurePosixPath(name).parents}

    def locate(self, module: str) -> Located:
        """What ``import module`` finds."""
        parts = module.split(".")
        places, found = self._top(parts[0])
        if places is None:
            return found
        files = list(found.files)
        for number, part in enumerate(parts[1:], start=2):
            if not found.is_namespace and not self._is_package(found):
                return Located(tuple(files), ".".join(parts[:number]), is_own=True)
            places = [f"{place}/{part}" for place in places]
            places, found = self._below(places, ".".join(parts[:number]), found)
            if found.missing or not found.is_own:
                return Located(tuple(files), found.missing, found.wrong, is_own=found.is_own)
            files += found.files
        return Located(tuple(files), is_own=True, is_namespace=found.is_namespace)

    def name_of(self, file: str) -> str:
        """The name that the module of ``file`` is imported by."""
        path = file.removesuffix(".py").removesuffix("/__init__")
        # All of them begin the path, so that the last in order is the longest
        root = max((root for root in self._roots if path.startswith(f"{root}/")), default="")
        return (path[len(root) + 1 :] if root else path).replace("/", ".")

    def _top(self, name: str) -> tuple[list[str] | None, Located]:
        """Where the parts below a top-level module are; ``None`` where that need not be known."""
        own = [f"{root}/{name}" if root else name for root in self._roots]
        for place in own:
            found = self._at(place)
            if not found.is_namespace:
                return [place], found
        if (
            not self._knows_layer
            or name in self._layer
            or is_provided(name, self._platform.version)
            or self._is_given(name)
        ):
            return None, Located()
        spaces = [place for place in own if place in self._folders]
        if spaces or f"{name}/" in self._layer or self._has_given(name):
            return [*spaces, f"layer:{name}"], Located(is_namespace=True)
        wrong = next(filter(None, (self._unusable_at(place) for place in own)), "")
        return None, Located(missing=name, wrong=wrong)

    def _below(self, places: list[str], name: str, parent: Located) -> tuple[list[str], Located]:
        """The module ``name`` at one of ``places``, which are in the folders of its parent; and where it is."""
        is_space = False
        for place in places:
            if place.startswith("layer:"):
                path = place.removeprefix("layer:")
                if path in self._layer:
                    return places, Located()
                is_space = is_space or f"{path}/" in self._layer
                continue
            found = self._at(place)
            if not found.is_namespace:
                return [place], found
            is_space = is_space or place in self._folders
        if self._is_given(name):
            return places, Located()
        if is_space or self._has_given(name):
            return places, Located(is_own=True, is_namespace=True)
        wrong = next(filter(None, (self._unusable_at(place) for place in places)), "")
        return places, Located(missing=name, wrong=wrong, is_own=not parent.is_namespace)

    def _at(self, place: str) -> Located:
        package, module = f"{place}/__init__.py", f"{place}.py"
        if package in self._entries:
            return Located((package,), is_own=True)
        if place in self._compiled:
            return Located(is_own=True)
        if module in self._entries:
            return Located((module,), is_own=True)
        return Located(is_namespace=True)

    def _is_package(self, found: Located) -> bool:
        return bool(found.files) and found.files[-1].endswith("/__init__.py")

    def _unusable_at(self, place: str) -> str:
        return next((name for name in self.unusable if module_name(name) == place), "")

    def _has_given(self, name: str) -> bool:
        return any(given.startswith(f"{name}.") for given in self._given)

    def _is_given(self, name: str) -> bool:
        return any(name == given or name.startswith(f"{given}.") for given in self._given)
