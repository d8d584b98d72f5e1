"""Imports a Python file by its path, once, with its folder as a package of its own for relative imports."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from gym_mcp.errors import UsageError


def load_file(path: Path, package: str | None, search: Iterable[Path]) -> ModuleType:
    """The module of `path`; `UsageError` in one line when it cannot be imported.

    `package` is what its folder is called (`tool_servers.counter`); None for a file that stands alone. `search`
    goes to the front of `sys.path`, the last one first.
    """
    for folder in map(str, search):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    if package is not None:
        package = _package(package, path.parent)
    wanted = f"{package or 'gym_mcp_file'}.{path.stem}"
    for name in itertools.chain([wanted], (f"{wanted}_{i}" for i in itertools.count(2))):
        known = sys.modules.get(name)
        if known is None:
            return _execute(name, path)
        if getattr(known, "__file__", None) == str(path):
            return known
    raise AssertionError("names do not run out")


def _package(wanted: str, folder: Path) -> str:
    """The name under which `folder` is a package; another hub's folder of that name may have taken `wanted`."""
    for name in itertools.chain([wanted], (f"{wanted}_{i}" for i in itertools.count(2))):
        known = sys.modules.get(name)
        if known is None and (folder / "__init__.py").is_file():
            _execute(name, folder / "__init__.py")
            return name
        if known is None:
            known = sys.modules[name] = ModuleType(name)
        if not hasattr(known, "__path__"):
            known.__path__ = [str(folder)]
        if str(folder) in known.__path__:
            return name
    raise AssertionError("names do not run out")


class _AsItIs(SourceFileLoader):
    """Compiles what the file holds now. Python knows a cached compilation by the second and the size of the
    file, so it may be of the text before an edit, when the hash that a score is filed under is of that after it.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _execute(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsItIs(name, str(path)))
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as e:
        del sys.modules[name]  # half a module must not be found next time
        if isinstance(e, UsageError) or not isinstance(e, Exception | SystemExit):
            raise
        raise UsageError(_complaint(path, e)) from (None if isinstance(e, ImportError | SyntaxError) else e)
    return module


def _complaint(path: Path, error: BaseException) -> str:
    if isinstance(error, ImportError) and (error.name or "").startswith(("langgraph", "langchain_core")):
        return f"{path}: needs {error.name}: pip install 'gym-mcp[langgraph]'"
    if isinstance(error, ImportError):
        return f"{path}: cannot be imported: {error}"
    if isinstance(error, SyntaxError):
        return f"{error.filename or path}:{error.lineno}: {error.msg}"
    return f"{path}: raised {type(error).__name__} when imported: {error}"
