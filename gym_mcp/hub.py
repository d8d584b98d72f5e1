"""Finds environments, harnesses, benchmarks and skills on the hub roots. Listing reads files, imports nothing."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from gym_mcp.errors import UsageError
from gym_mcp.loading import load_file
from gym_mcp.suggest import did_you_mean

if TYPE_CHECKING:
    from gym_mcp.environment import Environment
    from gym_mcp.harness import Harness

FOLDERS: Final = {
    "environment": ("tool_servers", "server.py"),
    "harness": ("harnesses", "harness.py"),
    "benchmark": ("benchmarks", "benchmark.yaml"),
    "skill": ("analysis_skills", "SKILL.md"),
}
_added: list[Path] = []


@dataclass(frozen=True, slots=True)
class Entry:
    """Something found on a hub root. `facts` are literals read from its file (class attributes, YAML fields)."""

    kind: str
    name: str
    path: Path
    summary: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def builtin_root() -> Path:
    """The hub that ships with the package: inside the wheel, or the repository around the package."""
    package = Path(__file__).resolve().parent
    return package / "_hub" if (package / "_hub").is_dir() else package.parent


def add_root(path: Path) -> None:
    """Use another hub (`--hub DIR`); it shadows the ones before it."""
    if not any((path / folder).is_dir() for folder, _ in FOLDERS.values()):
        names = ", ".join(f"{folder}/" for folder, _ in FOLDERS.values())
        raise UsageError(f"--hub {path}: no hub there; a hub holds at least one of {names}")
    _added.insert(0, path.resolve())


def added_roots() -> list[Path]:
    """The hubs of `--hub`, in order of precedence."""
    return list(_added)


def roots() -> list[Path]:
    """Hub roots in order of precedence: `--hub`, `GYM_MCP_HUB` (separated like PATH), the built-in one."""
    from_env = [Path(p).resolve() for p in os.environ.get("GYM_MCP_HUB", "").split(os.pathsep) if p]
    return [*_added, *from_env, builtin_root()]


def entries(kind: str) -> Iterator[Entry]:
    """Everything of one kind, sorted by name; an earlier root shadows a later one."""
    folder, marker = FOLDERS[kind]
    found: dict[str, Path] = {}
    for root in roots():
        for path in sorted((root / folder).glob(f"*/{marker}")):
            found.setdefault(path.parent.name, path)
    for name in sorted(found):
        yield _read(kind, name, found[name])


def find(kind: str, name: str) -> Path:
    """The file of a named thing; `UsageError` with a suggestion when there is none."""
    folder, marker = FOLDERS[kind]
    if name and Path(name).name == name:
        for root in roots():
            if (root / folder / name / marker).is_file():
                return root / folder / name / marker
    known = [entry.name for entry in entries(kind)]
    hint = did_you_mean(name, known) or f" (`gym-mcp list {kind}{'es' if kind == 'harness' else 's'}`)"
    raise UsageError(f"no {kind} `{name}`{hint}")


def _read(kind: str, name: str, path: Path) -> Entry:
    try:
        return _entry(kind, name, path, path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as e:  # one broken file must not hide the others
        return Entry(kind, name, path, f"cannot be read: {' '.join(str(e).split())}")


def _entry(kind: str, name: str, path: Path, text: str) -> Entry:
    if kind == "environment":
        summary, facts = _class_facts(text, path.parent)
        return Entry(kind, name, path, summary, facts)
    if kind == "harness":
        doc = ast.get_docstring(ast.parse(text)) or ""
        return Entry(kind, name, path, doc.split("\n", 1)[0])
    import yaml

    if kind == "skill":
        text = text.split("---", 2)[1] if text.startswith("---") else ""
    try:
        facts = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    except yaml.YAMLError as e:
        raise ValueError(e) from None
    if not isinstance(facts, dict):
        raise ValueError("a mapping of fields is expected")
    return Entry(kind, name, path, str(facts.get("description", "")), facts)


def _class_facts(source: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """Docstring's first line and literal class attributes of the environment class in `source`."""
    module = ast.parse(source)
    for node in reversed(module.body):
        if not isinstance(node, ast.ClassDef) or not _is_environment(node):
            continue
        facts = _literals(node)
        facts["tools"] = [*_mixed_in(module, node, folder), *_tools_of(node)]
        return (ast.get_docstring(node) or "").split("\n", 1)[0], facts
    return "", {}


def _literals(node: ast.ClassDef) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            target: ast.expr = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        else:
            continue
        if isinstance(target, ast.Name) and statement.value is not None:
            with contextlib.suppress(ValueError):
                found[target.id] = ast.literal_eval(statement.value)
    return found


_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def _tools_of(node: ast.ClassDef) -> list[str]:
    return [n.name for n in node.body if _is_tool(n) and isinstance(n, _FUNCTION)]


def _mixed_in(module: ast.Module, node: ast.ClassDef, folder: Path) -> Iterator[str]:
    """Tools of base classes that come from the same folder (`from .mail import MailTools`)."""
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    for statement in module.body:
        if not isinstance(statement, ast.ImportFrom) or statement.level != 1 or statement.module is None:
            continue
        names = {alias.name for alias in statement.names} & bases
        file = folder / f"{statement.module}.py"
        if names and file.is_file():
            for other in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(other, ast.ClassDef) and other.name in names:
                    yield from _tools_of(other)


def _is_environment(node: ast.ClassDef) -> bool:
    bases = (b.value if isinstance(b, ast.Subscript) else b for b in node.bases)
    names = (b.id if isinstance(b, ast.Name) else getattr(b, "attr", "") for b in bases)
    return any("Environment" in n or n.endswith("Env") for n in names)


def _is_tool(node: ast.stmt) -> bool:
    if not isinstance(node, _FUNCTION):
        return False
    marks = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    return any("tool" in (getattr(m, "id", None), getattr(m, "attr", None)) for m in marks)


def load_environment(spec: str, settings: Mapping[str, Any] | None = None) -> type[Environment[Any]]:
    """The environment class of a hub name, or of a `.py` file; `settings` are its options.

    `NAME:ARGUMENT` sets the option that the class declares as its `argument` (`gymnasium:CliffWalking-v1`).
    `UsageError` where an option is missing; with `settings` None nothing is asked, to look at the class only.
    """
    is_file = spec.endswith(".py")  # a colon in its path is part of it
    name, colon, argument = (spec, "", "") if is_file else spec.partition(":")
    path = Path(spec) if is_file else find("environment", name)
    if not path.is_file():
        raise UsageError(f"environment {spec}: no such file")
    module = _load(path.resolve())
    found = _environment_class(module, path)
    if path.name == "server.py" and not found.named:
        found.name = path.resolve().parent.name
    if colon:
        if not found.argument:
            raise UsageError(f"environment {name}: takes no argument after a colon (`{spec}`)")
        settings = {found.argument: argument, **(settings or {})}
    wanting = settings is not None and found.options is None
    configured = found.configured(settings or {}) if settings or wanting else found
    if colon:
        configured.name = spec
    return configured


def _environment_class(module: ModuleType, path: Path) -> type[Environment[Any]]:
    from gym_mcp.environment import Environment

    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Environment) and value.__module__ == module.__name__
    ]
    leaves = [c for c in own if not any(c is not d and issubclass(d, c) for d in own)]
    if len(leaves) != 1:
        names = ", ".join(c.__name__ for c in leaves) or "none"
        raise UsageError(f"{path}: one subclass of gym_mcp.Environment is expected; found {names}")
    return leaves[0]


def load_harness(spec: str, settings: Mapping[str, Any] | None = None) -> tuple[str, Harness, Path]:
    """(name, harness, file) of a hub name or a `.py` file; `settings` are its options.

    A module with `run` is itself the harness. One with `Options` and `create(options)` makes it, and
    `NAME:ARGUMENT` sets the option that it declares as its `argument` (`langgraph:my_graph.py:graph`).
    """
    head, colon, argument = spec.partition(":")
    is_file = head.endswith(".py")
    path = Path(head) if is_file else find("harness", head)
    if not path.is_file():
        raise UsageError(f"harness {spec}: no such file")
    path = path.resolve()
    name = path.parent.name if path.name == "harness.py" else path.stem
    module = _load(path)
    settings = dict(settings or {})
    if colon:
        if not getattr(module, "argument", ""):
            raise UsageError(f"harness {name}: takes no argument after a colon (`{spec}`)")
        settings = {module.argument: argument, **settings}
    return (f"{name}:{argument}" if colon else name), _harness(module, name, path, settings), path


def _harness(module: ModuleType, name: str, path: Path, settings: Mapping[str, Any]) -> Harness:
    made: Any = module
    if hasattr(module, "Options") and hasattr(module, "create"):
        from gym_mcp.options import read_options

        made = module.create(read_options(f"harness {name}", module.Options, settings))
    elif settings:
        raise UsageError(f"harness {name}: takes no options (`{next(iter(settings))}`)")
    if not callable(getattr(made, "run", None)):
        raise UsageError(f"{path}: a harness module has `async def run(session, model, limits)`")
    harness: Harness = made
    return harness


def load_module(path: Path) -> ModuleType:
    """A Python file of a hub folder, imported once."""
    return _load(path.resolve())


def _load(path: Path) -> ModuleType:
    """Import a file once. Its hub root goes on `sys.path`, for the root's `verifiers`."""
    kind, name = path.parent.parent.name, path.parent.name
    in_hub = kind in {folder for folder, _ in FOLDERS.values()}
    top = path.parent.parent.parent if in_hub else path.parent
    return load_file(path, f"{kind}.{name}" if in_hub else None, [top, builtin_root()])
