"""Content hashes that decide what may be reused: environment, verifier, tasks, harness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.environment import Environment
from gym_mcp.sources import code, environment_files, names_in, read_source, split_verify, verifier_files

DIGITS: Final = 16


def digest(parts: Iterable[bytes]) -> str:
    """First 64 bits of SHA-256 over length-prefixed parts, in hex."""
    h = hashlib.sha256()
    for part in parts:
        h.update(len(part).to_bytes(8, "big"))
        h.update(part)
    return h.hexdigest()[:DIGITS]


def json_digest(value: Any) -> str:
    """Digest of a JSON value, whatever the order of its keys."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_plain)
    except TypeError:  # integers past 64 bits, lone surrogates
        text = json.dumps(value, sort_keys=True, default=_plain).encode()
    return digest([text])


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def path_digest(path: Path) -> str:
    """Digest of a file, or of all files below a folder with their relative names."""
    if path.is_file():
        return digest([path.read_bytes()])
    files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return digest(part for p in files for part in (str(p.relative_to(path)).encode(), p.read_bytes()))


def environment_identity(cls: type[Environment[Any]]) -> dict[str, str]:
    """Hashes of an environment's code, of its verification alone, and of its options.

    `verifier` covers the `verify` methods and the `verifiers` modules that its files import; `environment` is
    everything else in its files, data of a hub environment's folder included. Comments, layout, tasks,
    documentation and tests do not count.
    """
    sources, data = environment_files(cls, Environment)
    environment: list[bytes] = []
    verifier: list[bytes] = []
    named = {file: names_in(read_source(file)) for file in sources} if len(sources) > 1 else {}
    for file in sources:
        elsewhere = set[str]().union(*(names for other, names in named.items() if other != file))
        rest, verify = split_verify(read_source(file), elsewhere)
        environment += [file.stem.encode(), rest]
        verifier.append(verify)
    for file in data:
        environment += ["/".join(file.parts[-2:]).encode(), file.read_bytes()]
    for file in verifier_files(sources):
        verifier += [file.name.encode(), code(read_source(file)) if file.suffix == ".py" else file.read_bytes()]
    environment.append(str((cls.version, cls.reward_range, cls.higher_is_better)).encode())
    return {
        "environment": digest(environment),
        "verifier": digest(verifier),
        "options": _options_digest(cls),
    }


def _options_digest(cls: type[Environment[Any]]) -> str:
    """Digest of the options; a path counts by what lies there, not by its name."""
    options = {} if cls.options is None else dict(cls.options)
    return json_digest(
        {k: path_digest(v) if isinstance(v, Path) and v.exists() else v for k, v in options.items()}
    )
