"""The directory of one episode: what is laid out before the server starts, and read when it is scored."""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gym_mcp.errors import EnvironmentFailure

MAX_FILE: Final = 16 * 1024 * 1024
"""Bytes of one file that verification reads."""
MAX_FILES: Final = 10_000


class Workdir:
    """`root` holds `work`, where the server runs, and `home`, its HOME. Nobody else's, and removed by `remove`."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gym-mcp-")).resolve()
        self.work, self.home = self.root / "work", self.root / "home"
        self.work.mkdir()
        self.home.mkdir()

    def lay_out(self, files: Mapping[str, Any]) -> None:
        """Write files by relative path: text, or `{"base64": ...}`. `EnvironmentFailure` if one leads outside."""
        for name, content in files.items():
            path = self._inside(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(name, content))

    def _inside(self, name: str) -> Path:
        pure = PurePosixPath(name)
        if pure.is_absolute() or not pure.parts or ".." in pure.parts or "\0" in name:
            raise EnvironmentFailure(f"file `{name}` of the task: a path inside the working directory is expected")
        return self.work.joinpath(*pure.parts)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None when it is absent, no plain file, too large, or reached through a link."""
        path = self._inside(name)
        try:
            if path.resolve() != path or not path.is_file() or path.stat().st_size > MAX_FILE:
                return None
            return path.read_bytes()
        except OSError:
            return None

    def names(self) -> list[str]:
        """All plain files by relative path, sorted; links are not followed, nor counted."""
        found: list[str] = []
        for folder, folders, files in os.walk(self.work):
            folders.sort()
            paths = (Path(folder, name) for name in sorted(files))
            found += [p.relative_to(self.work).as_posix() for p in paths if p.is_file() and not p.is_symlink()]
            if len(found) > MAX_FILES:
                raise EnvironmentFailure(f"more than {MAX_FILES} files in the working directory")
        return sorted(found)

    def remove(self) -> None:
        """Remove everything, whatever the server did to it."""
        shutil.rmtree(self.root, onerror=_force)


def _force(function: Any, path: str, error: Any) -> None:
    try:
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700, follow_symlinks=False) if os.chmod in os.supports_follow_symlinks else None
        function(path)
    except OSError:
        return


def _bytes(name: str, content: Any) -> bytes:
    if isinstance(content, str):
        return content.encode()
    try:
        return base64.b64decode(content["base64"], validate=True)
    except (TypeError, KeyError, binascii.Error, ValueError):
        raise EnvironmentFailure(f"file `{name}` of the task: text or {{'base64': ...}} is expected") from None
