"""The files of a run that no package has: they travel to the nodes, and lie there below a folder as they lie here.

An environment or harness of a file or of a hub of one's own, the verifiers and data that it names, the skills, and
files that the environment's options name. What else code reads must be on the nodes already.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gym_mcp import hub
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import Parts, is_url
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.sources import environment_files, named_beside, neighbours, read_source, verifier_files
from gym_mcp.types import JSONObject

LARGEST: Final = 64 << 20
_MOVED: Final = ("environment", "harness", "skills")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A tar file, what of the settings lies in it under which path, and the hubs that do."""

    data: bytes
    moved: dict[str, str]
    hubs: list[str]
    path: list[str]
    """Of the places that modules are imported from, those that have files in it."""


def pack(config: RunConfig, parts: Parts) -> Parcel:
    """What `config` needs on a node. `UsageError` when it is more than a parcel holds."""
    files: set[Path] = set()
    moved: dict[str, str] = {}
    if not is_url(config.environment):
        found = _of_environment(parts.environment_type)
        files |= found
        if config.environment.endswith(".py") and found:
            moved[config.environment] = str(Path(config.environment).resolve())
        for value in _paths(parts.environment_type.options):
            files |= set(_below(value))
            moved |= {given: str(value.absolute()) for given in config.env.values() if _same(given, value)}
    if not _installed(parts.harness_path):
        files |= set(_of_harness(parts.harness_path))
        if config.harness.endswith(".py"):
            moved[config.harness] = str(parts.harness_path.resolve())
    if config.skills is not None and config.skills != "none":
        files |= set(_below(Path(config.skills)))
        moved[config.skills] = str(Path(config.skills).absolute())
    files = {file.absolute() for file in files}
    hubs = [str(root) for root in hub.roots() if root != hub.builtin_root() and _has_part_of(root, files)]
    return Parcel(_tar(sorted(files)), moved, hubs, list(_import_path(files)))


def _has_part_of(root: Path, files: Iterable[Path]) -> bool:
    folders = {folder for folder, _ in hub.FOLDERS.values()}
    return any(file.relative_to(root).parts[0] in folders for file in files if root in file.parents)


def _import_path(files: Iterable[Path]) -> Iterator[str]:
    parents = {folder for file in files for folder in file.parents}
    for place in (Path(entry).absolute() for entry in sys.path):
        if place in parents and not {"site-packages", "dist-packages"} & set(place.parts):
            yield str(place)


def _installed(file: Path) -> bool:
    """Whether a file comes with the package: each node has it."""
    root = hub.builtin_root()
    folders = [root / name for name in ("verifiers", *(folder for folder, _ in hub.FOLDERS.values()))]
    return any(file.resolve().is_relative_to(folder) for folder in (*folders, Path(hub.__file__).resolve().parent))


def _of_environment(cls: type[Environment[Any]]) -> set[Path]:
    sources, data = environment_files(cls, Environment)
    own = [file for file in sources if not _installed(file)]
    found = {*own, *(file for file in (*data, *verifier_files(sources)) if not _installed(file))}
    for file in own:
        found |= {other for other in named_beside(file, read_source(file)) if not _installed(other)}
        if file.name == "server.py" and file.parent.parent.name == "tool_servers":
            found |= {other for other in _below(file.parent) if not _hidden(other.relative_to(file.parent))}
    return found


def _of_harness(path: Path) -> Iterator[Path]:
    if path.name == "harness.py":
        yield from _below(path.parent)
        return
    for file in neighbours(path):
        yield file
        yield from named_beside(file, read_source(file))


def _below(path: Path) -> Iterator[Path]:
    """A file, or what a folder holds: all that its digest counts."""
    if path.is_file():
        yield path
    for file in path.rglob("*") if path.is_dir() else ():
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _paths(options: Any) -> Iterator[Path]:
    """Options that are paths of something that exists."""
    for _, value in options or ():
        if isinstance(value, Path) and value.exists() and not _installed(value):
            yield value


def _same(given: Any, path: Path) -> bool:
    return isinstance(given, str) and Path(given).absolute() == path.absolute()


def _tar(files: list[Path]) -> bytes:
    if not files:
        return b""
    out, size = io.BytesIO(), 0
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1, dereference=True) as tar:
        for file in files:
            size += file.stat().st_size
            if size > LARGEST:
                raise UsageError(
                    f"--ray: the files to send to each node ({file.parent}, ...) are more than "
                    f"{LARGEST >> 20} MiB: install them there, or serve the environment (`gym-mcp serve`)"
                )
            tar.add(file, str(file)[1:], recursive=False)
    return out.getvalue()


def unpack(data: bytes, folder: str, hello: JSONObject) -> JSONObject:
    """Lay a parcel out below `folder` (on a node); `hello` with the paths that its files have there."""
    if data:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(folder, filter="data")
    moved = {given: folder + path for given, path in hello["moved"].items()}
    config = dict(hello["config"])
    config.update({name: moved.get(config[name], config[name]) for name in _MOVED})
    config["env"] = {k: moved.get(v, v) if isinstance(v, str) else v for k, v in config["env"].items()}
    places = {name: [folder + path for path in hello[name]] for name in ("hubs", "more_path")}
    return {**hello, "config": config, **places}
