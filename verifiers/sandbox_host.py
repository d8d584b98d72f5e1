"""What a contained program is shown of this machine: its Python's standard library, system libraries, packages."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import sysconfig
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

_SYSTEM: Final = (
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


@cache
def interpreter() -> str:
    """The Python that runs programs: the one underneath a virtual environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


@cache
def libraries() -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[str]]:
    """(binds, links, masks): paths to show as they are, symbolic links to repeat, directories to show empty."""
    binds: list[tuple[str, str]] = []
    links: list[tuple[str, str]] = []
    for path in _SYSTEM:
        if os.path.islink(path) and not path.startswith("/etc"):
            links.append((os.readlink(path), path))
        elif os.path.exists(path):
            binds.append((path, path))
    stdlib = os.path.dirname(os.__file__)
    extensions = sysconfig.get_config_var("DESTSHARED") or stdlib
    for path in [stdlib, extensions, *_python_libraries()]:
        if os.path.exists(path) and not any(path == seen or path.startswith(seen + "/") for seen, _ in binds):
            binds.append((path, path))
    masks = [f"{stdlib}/{name}" for name in ("site-packages", "dist-packages")]
    masks += [str(p) for lib in ("/usr/lib", "/usr/lib64") for p in Path(lib).glob("python3*/*-packages")]
    return binds, links, [m for m in dict.fromkeys(masks) if os.path.isdir(m)]


def _python_libraries() -> list[str]:
    folder = Path(sysconfig.get_config_var("LIBDIR") or "/nowhere")
    try:
        return [str(path) for path in folder.glob("libpython3*.so*")]
    except OSError:
        return []


@cache
def package_paths(names: tuple[str, ...]) -> tuple[str, ...]:
    """Files and folders of distributions and of all they require; `LookupError` when a named one is missing."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    todo = [(name, True) for name in names]
    while todo:
        name, wanted = todo.pop()
        if name.lower() in seen:
            continue
        seen.add(name.lower())
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if wanted:
                raise LookupError(f"no package {name} in this Python") from None
            continue
        for file in distribution.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                found[str(distribution.locate_file(top))] = None
        for requirement in distribution.requires or ():
            match = _NAME.match(requirement)
            if match and "extra ==" not in requirement:
                todo.append((match.group(), False))
    return tuple(found)


def available(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `names` that are installed in this Python."""
    found = []
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            metadata.distribution(name)
            found.append(name)
    return tuple(found)
