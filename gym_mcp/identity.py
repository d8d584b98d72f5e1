"""Content hashes that decide what may be reused: environment, verifier, tasks, harness."""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import orjson

from gym_mcp.environment import Environment

DIGITS: Final = 16
_LAYOUT: Final = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
}


def digest(parts: Iterable[bytes]) -> str:
    """First 64 bits of SHA-256 over length-prefixed parts, in hex."""
    h = hashlib.sha256()
    for part in parts:
        h.update(len(part).to_bytes(8, "big"))
        h.update(part)
    return h.hexdigest()[:DIGITS]


def json_digest(value: Any) -> str:
    """Digest of a JSON value, whatever the order of its keys."""
    return digest([orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)])


def path_digest(path: Path) -> str:
    """Digest of a file, or of all files below a folder with their relative names."""
    if path.is_file():
        return digest([path.read_bytes()])
    files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return digest(part for p in files for part in (str(p.relative_to(path)).encode(), p.read_bytes()))


def environment_identity(cls: type[Environment[Any]]) -> dict[str, str]:
    """Hashes of an environment's code, of its verification alone, and of its options.

    `verifier` covers the `verify` methods and the `verifiers` modules that its files import; `environment` is
    everything else in its files. Comments and layout do not count.
    """
    environment: list[bytes] = []
    verifier: list[bytes] = []
    for module in _modules(cls):
        rest, verify = _split(inspect.getsource(module))
        environment += [Path(inspect.getfile(module)).stem.encode(), rest]
        verifier.append(verify)
        verifier += [m.encode() + _code(inspect.getsource(sys.modules[m])) for m in _verifier_modules(module)]
    environment.append(str((cls.version, cls.reward_range, cls.higher_is_better)).encode())
    return {
        "environment": digest(environment),
        "verifier": digest(verifier),
        "options": _options_digest(cls),
    }


def _modules(cls: type) -> list[ModuleType]:
    """The modules that define `cls` and its bases, and its folder's other modules that they loaded."""
    found: dict[str, ModuleType] = {}
    for base in cls.__mro__:
        if base is Environment:
            break
        module = sys.modules.get(base.__module__)
        file = getattr(module, "__file__", None)
        if module is None or file is None:
            continue
        found[file] = module
        if Path(file).name == "server.py":
            for other in list(sys.modules.values()):
                path = getattr(other, "__file__", None)
                if path and Path(path).parent == Path(file).parent and path.endswith(".py"):
                    found[path] = other
    return [found[f] for f in sorted(found)]


def _verifier_modules(module: ModuleType) -> list[str]:
    """Loaded `verifiers.*` modules that `module` imports, and those that they import."""
    found: set[str] = set()
    queue = [module]
    while queue:
        for node in ast.walk(ast.parse(inspect.getsource(queue.pop()))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            for name in names:
                loaded = sys.modules.get(name)
                if name.split(".")[0] == "verifiers" and name not in found and getattr(loaded, "__file__", None):
                    found.add(name)
                    queue.append(sys.modules[name])
    return sorted(found)


def _split(source: str) -> tuple[bytes, bytes]:
    """(code without its `verify` methods, code of those methods), layout stripped."""
    lines = source.splitlines(keepends=True)
    verify: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "verify":
            assert node.end_lineno is not None
            block = range(node.lineno - 1, node.end_lineno)
            verify.append("".join(lines[i].strip() + "\n" for i in block))
            for i in block:
                lines[i] = "\n"
    return _code("".join(lines)), "".join(verify).encode()


def _code(source: str) -> bytes:
    try:
        tokens = [
            t.string for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in _LAYOUT
        ]
    except (tokenize.TokenError, IndentationError):
        return source.encode()
    return "\x1f".join(tokens).encode()


def _options_digest(cls: type[Environment[Any]]) -> str:
    """Digest of the options; a path counts by what lies there, not by its name."""
    options = {} if cls.options is None else dict(cls.options)
    return json_digest(
        {k: path_digest(v) if isinstance(v, Path) and v.exists() else v for k, v in options.items()}
    )
