"""Replies of judges on disk, by content: what was asked of whom, under which settings, as which vote."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.errors import UsageError
from gym_mcp.types import Item, JSONObject

VARIABLE: Final = "GYM_MCP_JUDGE_CACHE"


class JudgeCache:
    """A folder of replies. Processes may share it: a file appears whole, and the first reply to a question stays.

    A file holds the reply, its tokens and the judge's spec; of the question there is only the hash.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as e:
            raise UsageError(
                f"judge cache {folder}: {e.strerror}; name another with {VARIABLE}, or `off`"
            ) from None

    @classmethod
    def default(cls) -> JudgeCache | None:
        """The folder that GYM_MCP_JUDGE_CACHE names, else one in the user's cache; None when it says `off`."""
        named = os.environ.get(VARIABLE)
        if named == "off":
            return None
        if named:
            return cls(Path(named))
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(base) / "gym-mcp" / "judge")

    @staticmethod
    def key(identity: JSONObject, prompt: Sequence[Item], params: Mapping[str, Any], vote: int) -> str:
        """SHA-256 over the judge's identity (endpoint and sampling included), the prompt, parameters and vote."""
        question = [identity, list(prompt), dict(params), vote]
        try:
            text = orjson.dumps(question, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # integers past 64 bits, lone surrogates
            text = json.dumps(question, sort_keys=True, default=str).encode()
        return hashlib.sha256(text).hexdigest()

    def get(self, key: str) -> JSONObject | None:
        """The entry of a key; None when there is none, or none that can be read."""
        try:
            entry: Any = orjson.loads(self._path(key).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return entry if isinstance(entry, dict) and isinstance(entry.get("reply"), str) else None

    def put(self, key: str, entry: JSONObject) -> JSONObject:
        """Keep an entry; the one that stays, which may be another process's. A full disk keeps nothing."""
        path = self._path(key)
        scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(orjson.dumps(entry))
            if path.exists() and self.get(key) is None:  # damaged: a whole file never says nothing
                path.unlink(missing_ok=True)
            with contextlib.suppress(FileExistsError):
                os.link(scratch, path)
        except (OSError, TypeError):
            return entry
        finally:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
        return self.get(key) or entry

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"
