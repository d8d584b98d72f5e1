"""Which files an environment is made of, read from its imports, and what of their text is code.

Nothing hangs on what happens to be imported already: two processes, or two moments of one, find the same files.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

_LAYOUT: Final = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_BLOCKS: Final = {tokenize.INDENT: "\x02", tokenize.DEDENT: "\x03", tokenize.NEWLINE: "\x04"}
_VERIFY: Final = frozenset({"verify", "verify_group"})
_NOT_DATA: Final = {".py", ".pyc", ".md"}


def read_source(file: Path) -> str:
    """The text of a Python file, in the encoding that it declares."""
    with tokenize.open(file) as f:
        return f.read()


def environment_files(cls: type, root: type) -> tuple[list[Path], list[Path]]:
    """(Python files, data files) of an environment class: those of its bases below `root` and what they import.

    Data files count in the folder of a hub environment: everything but its tasks, its documentation and tests.
    """
    sources: set[Path] = set()
    folders: set[Path] = set()
    for base in cls.__mro__:
        name = getattr(sys.modules.get(base.__module__), "__file__", None)
        if base is root or name is None or not issubclass(base, root):
            continue
        file = Path(name).resolve()
        if file.name == "server.py" and file.parent.parent.name == "tool_servers":
            folders.add(file.parent)
        _follow(file, sources)
    data = sorted(f for folder in folders for f in _data_files(folder))
    return sorted(sources, key=lambda file: (file.name, file)), data  # the same, wherever which of them lie


def neighbours(file: Path) -> list[Path]:
    """A Python file, and the files beside it that it imports, and theirs."""
    found: set[Path] = set()
    _follow(file, found)
    return sorted(found)


def _data_files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith((".", "__pycache__", "test_")) for part in parts)
        if not hidden and file.is_file() and file.suffix not in _NOT_DATA and file != folder / "tasks.jsonl":
            yield file


def _follow(file: Path, found: set[Path]) -> None:
    """Add `file` and the neighbours that it imports, and theirs."""
    if file in found or not file.is_file():
        return
    found.add(file)
    in_hub = "tool_servers" in (file.parent.name, file.parent.parent.name)
    for level, name in _imports(read_source(file)):
        if level:
            _follow_name(file.parents[level - 1], name, found)
        elif in_hub and name.startswith("tool_servers."):
            _follow_name(file.parent.parent.parent, name, found)
        elif not in_hub and name.split(".")[0] not in ("gym_mcp", "verifiers"):
            _follow_name(file.parent, name, found)


def _follow_name(start: Path, name: str, found: set[Path]) -> None:
    path = start.joinpath(*name.split("."))
    _follow(path.with_name(f"{path.name}.py"), found)
    _follow(path / "__init__.py", found)


def verifier_files(sources: list[Path]) -> list[Path]:
    """Files of the `verifiers` package that Python files import, what those import, and data that they name."""
    spec = (
        importlib.util.find_spec("verifiers")
        if "verifiers" not in sys.modules
        else sys.modules["verifiers"].__spec__
    )
    if spec is None or not spec.submodule_search_locations:
        return []
    package = Path(next(iter(spec.submodule_search_locations))).resolve()
    found: set[Path] = set()
    for source in sources:
        for level, name in _imports(read_source(source)):
            if not level and name.startswith("verifiers."):
                _follow_verifier(package, name.removeprefix("verifiers."), found)
    return sorted(found)


def _follow_verifier(package: Path, name: str, found: set[Path]) -> None:
    path = package.joinpath(*name.split("."))
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file in found or not file.is_file():
            continue
        found.add(file)
        text = read_source(file)
        found.update(named_beside(file, text))
        for level, imported in _imports(text):
            if level:
                inner = file.parents[level - 1].relative_to(package).parts
                _follow_verifier(package, ".".join((*inner, imported)), found)
            elif imported.startswith("verifiers."):
                _follow_verifier(package, imported.removeprefix("verifiers."), found)


def named_beside(file: Path, text: str) -> Iterator[Path]:
    """Data files (`prompts`, `units.json`) that stand beside a module whose text names them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable():
            name = node.value
            if not name or len(name) > 100 or "/" in name or name.startswith("."):
                continue
            path = file.with_name(name)
            if path.is_file() and path.suffix != ".md":
                yield path
            elif path.is_dir() and not (path / "__init__.py").exists():
                yield from (f for f in path.rglob("*") if f.is_file() and "__pycache__" not in f.parts)


def _imports(text: str) -> Iterator[tuple[int, str]]:
    """(relative level, dotted name) of everything that a module may import, in functions too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.level, node.module
            prefix = f"{node.module}." if node.module else ""
            yield from ((node.level, f"{prefix}{alias.name}") for alias in node.names)


def split_verify(text: str, elsewhere: Collection[str] = ()) -> tuple[bytes, bytes]:
    """(code without what only verification uses, code of that), comments and layout left out.

    That is `verify`, `verify_group`, and the functions and methods of a name that begins with `_` which nothing
    but these uses; `elsewhere` are names that the environment's other files use.
    """
    lines = text.split("\n")
    verify: list[str] = []
    tree = ast.parse(text)
    names = _of_verification(tree, elsewhere)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            block = slice(first - 1, node.end_lineno)
            verify.append("\n".join(["if 1:", *lines[block]]))
            lines[block] = [""] * len(lines[block])
    return code("\n".join(lines)), b"\x1e".join(map(code, verify))


def _of_verification(tree: ast.Module, elsewhere: Collection[str]) -> frozenset[str]:
    """Names of the functions that only verification uses."""
    functions: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.setdefault(node.name, []).append(node)
    private = {n for n in functions if n.startswith("_") and not n.startswith("__") and n not in elsewhere}
    used = Counter(name for _, name in _uses([tree]))
    found = set(_VERIFY)
    while True:
        more = set()
        for name in private - found:
            inside = dict(_uses(node for f in (*found, name) for node in functions.get(f, ())))
            if 0 < used[name] == sum(n == name for n in inside.values()):
                more.add(name)
        if not more:
            return frozenset(found)
        found |= more


def _uses(trees: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """(place, name) of each name and attribute."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                yield id(node), node.id
            elif isinstance(node, ast.Attribute):
                yield id(node), node.attr


def names_in(text: str) -> set[str]:
    """All names, attributes and imported names of a module."""
    tree = ast.parse(text)
    imported = {alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names}
    return {name for _, name in _uses([tree])} | imported


def code(text: str) -> bytes:
    """The tokens of Python source: what is left when comments, blank lines and widths of indents do not count."""
    try:
        tokens = [
            _BLOCKS.get(t.type, t.string)
            for t in tokenize.generate_tokens(io.StringIO(text).readline)
            if t.type not in _LAYOUT
        ]
    except (tokenize.TokenError, SyntaxError):
        return text.encode()
    return "\x1f".join(tokens).encode()
