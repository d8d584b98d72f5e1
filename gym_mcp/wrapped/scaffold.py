"""Writes an environment around a server's command: server.py, the verifier, tasks, a README."""

from __future__ import annotations

import ast
import asyncio
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gym_mcp.errors import UsageError
from gym_mcp.scaffold import check_name
from gym_mcp.types import ToolSpec
from gym_mcp.wrapped.environment import WrappedEnvironment

_EXAMPLE: Final = {
    "id": "hello",
    "prompt": "Write the word hello into /workdir/hello.txt.",
    "data": {"files": {}, "expected": {"hello.txt": "hello"}},
}
_CHECK: Final = '''"""Scores an episode: `read(path)`, `names()`, `ledger` and `task.data` are its own."""

from gym_mcp import Call, Reward


def verify(episode, transcript):
    """The share of the files in the task's `expected` that hold what they should."""
    expected = episode.task.data["expected"]
    right = [(episode.read(path) or "").rstrip() == text.rstrip() for path, text in expected.items()]
    return Reward(float(all(right)), {"files": sum(right) / len(right)})


def solution(episode):
    """What a perfect agent would do; change it to the tools of your server, or remove it."""
    for path, text in episode.task.data["expected"].items():
        yield Call("write_file", path=f"{episode.alias}/{path}", content=text)
    yield "Done."
'''


@dataclass(frozen=True)
class Wrapping:
    """What `gym-mcp wrap` was told. `verifier` and `tasks` are files to copy; None for examples."""

    name: str
    command: Sequence[str]
    verifier: Path | None = None
    tasks: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    inherit: Sequence[str] = ()
    hidden: Sequence[str] = ()

    def checked(self) -> Wrapping:
        """Itself; `UsageError` for a name, a command or a verifier that cannot work."""
        check_name(self.name)
        if not self.command:
            raise UsageError("wrap: no command: put what starts the MCP server after `--`")
        if self.verifier is not None and "verify" not in _functions(self.verifier):
            raise UsageError(f"{self.verifier}: a verifier has a function `verify(episode, transcript)`")
        return self


def _functions(file: Path) -> set[str]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"{file}: {e.strerror}") from None
    except (SyntaxError, ValueError) as e:
        raise UsageError(f"{file}: {e}") from None
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def write(wrapping: Wrapping, folder: Path) -> None:
    """Write the environment into a new folder; nothing is left of one that cannot be written whole."""
    wrapping.checked()
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{folder} exists already: choose another --out") from None
    try:
        module = f"{wrapping.name}_check"
        check = folder / f"{module}.py"
        if wrapping.verifier is None:
            check.write_text(_CHECK, encoding="utf-8")
        else:
            shutil.copyfile(wrapping.verifier, check)
        tasks = folder / "tasks.jsonl"
        if wrapping.tasks is None:
            tasks.write_text(json.dumps(_EXAMPLE) + "\n", encoding="utf-8")
        else:
            shutil.copyfile(wrapping.tasks, tasks)
        in_hub = folder.resolve().parent.name == "tool_servers"
        text = _server(wrapping, f".{module}" if in_hub else module, _functions(check))
        (folder / "server.py").write_text(text, encoding="utf-8")
        (folder / "README.md").write_text(_readme(wrapping), encoding="utf-8")
    except OSError as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(f"{e.filename}: {e.strerror}") from None


def _server(wrapping: Wrapping, module: str, functions: set[str]) -> str:
    title = "".join(word.capitalize() for word in wrapping.name.split("_"))
    lines = [
        f'"""The MCP server `{wrapping.command[0]}`, wrapped: one process per episode, scored by `{module}`."""',
        "",
        "from gym_mcp.wrapped import WrappedEnvironment",
        "",
        *(f"from {module} import {f} as {f}_of" for f in ("solution", "verify") if f in functions),
        "",
        "",
        f"class {title}(WrappedEnvironment):",
        f'    """Do what the task says with the tools of `{wrapping.name}`."""',
        "",
        f"    command = {tuple(wrapping.command)!r}",
    ]
    lines += [f"    env = {dict(wrapping.env)!r}"] if wrapping.env else []
    lines += [f"    inherit = {tuple(wrapping.inherit)!r}"] if wrapping.inherit else []
    lines += [f"    hidden = {tuple(wrapping.hidden)!r}"] if wrapping.hidden else []
    lines += ["", "    def verify(self, transcript):", "        return verify_of(self, transcript)"]
    if "solution" in functions:
        lines += ["", "    def solution(self):", "        return solution_of(self)"]
    return "\n".join(lines) + "\n"


def _readme(wrapping: Wrapping) -> str:
    return (
        f"# {wrapping.name}\n\nThe MCP server `{' '.join(wrapping.command)}` as an environment: one process per "
        "episode, in a\ndirectory of its own that the agent sees as /workdir. A task's `files` lie there first. "
        f"`{wrapping.name}_check.py` scores it.\n"
    )


async def tools_of(wrapping: Wrapping) -> list[ToolSpec]:
    """The server's tools, from an episode without a task: shows that the command works at all."""
    from gym_mcp.episode import Episode
    from gym_mcp.types import Task

    body = {"command": tuple(wrapping.command), "env": dict(wrapping.env), "inherit": tuple(wrapping.inherit)}
    cls = type("Probe", (WrappedEnvironment,), {**body, "hidden": tuple(wrapping.hidden), "name": wrapping.name})
    episode = Episode(cls, Task("probe", (), {}), 0, "", 3_600.0)
    try:
        await episode.open()
        return [tool.spec for tool in episode.tools.values()]
    finally:
        await episode.close()


def probe(wrapping: Wrapping) -> list[ToolSpec]:
    """`tools_of`, on a loop of its own."""
    return asyncio.run(tools_of(wrapping))


def scratch() -> Path:
    """A new folder for an environment that is only served."""
    return Path(tempfile.mkdtemp(prefix="gym-mcp-wrap-"))
