"""Agents as packages: a cache with a folder for each version, filled from npm or PyPI, or a program on PATH."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gym_mcp.errors import GymError, UsageError

_COMPLETE: Final = ".complete"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+[\w.+-]*")
_INSTALL_SECONDS: Final = 1_800
_ASK_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Package:
    """A package of npm or PyPI. `version` is the one its harness was tested with; `also`: further requirements."""

    registry: Literal["npm", "pypi"]
    name: str
    version: str
    program: str
    also: tuple[str, ...] = ()
    python: str = ""
    """`3.12`, where a package of PyPI wants that one and no other."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A program that can be run. `folders`: what it needs of the file system besides the system's own."""

    program: Path
    version: str
    folders: tuple[Path, ...]


def cache() -> Path:
    """Where installed agents live: `$XDG_CACHE_HOME/gym-mcp/agents`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gym-mcp" / "agents"


def find(harness: str, package: Package, version: str = "", binary: Path | None = None) -> Installed:
    """The program to run: `binary`, else what was installed, else what is on PATH and of the version asked for.

    `UsageError` in one line when there is none.
    """
    if binary is not None:
        if not os.access(binary, os.X_OK):
            raise UsageError(f"harness {harness}: {binary}: no such program")
        return _as_found(binary.resolve())
    wanted = version or package.version
    program = _program(_folder(harness, wanted), package)
    if (_folder(harness, wanted) / _COMPLETE).exists() and program.exists():
        folder = _folder(harness, wanted)
        return Installed(program, wanted, (folder, *_interpreters(package, folder)))
    on_path = shutil.which(package.program)
    if on_path:
        found = _as_found(Path(on_path))
        if not version or found.version == version:
            return found
    option = f" --version {version}" if version and version != package.version else ""
    raise UsageError(
        f"harness {harness}: `{package.program}` {wanted} is not installed: "
        f"gym-mcp harness install {harness}{option}"
    )


def install(harness: str, package: Package, version: str = "") -> Installed:
    """Install a version into the cache, once; others who want it meanwhile wait. `GymError` when it fails."""
    wanted = version or package.version
    if not _VERSION.fullmatch(wanted):
        raise UsageError(
            f"harness {harness}: --version {wanted}: a full version is expected, e.g. {package.version}"
        )
    folder = _folder(harness, wanted)
    with _locked(folder):
        if not (folder / _COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                _fill(folder, harness, package, wanted)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            (folder / _COMPLETE).touch()
    return find(harness, package, wanted)


def installed_versions(harness: str) -> list[str]:
    """Versions that are in the cache."""
    return sorted(p.parent.name for p in (cache() / harness).glob(f"*/{_COMPLETE}"))


def _folder(harness: str, version: str) -> Path:
    return cache() / harness / version


def _program(folder: Path, package: Package) -> Path:
    where = "node_modules/.bin" if package.registry == "npm" else "bin"
    return folder / where / package.program


def _fill(folder: Path, harness: str, package: Package, version: str) -> None:
    if package.registry == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise UsageError(f"harness {harness}: npm is not installed: it comes with Node.js (20 or later)")
        flags = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        _run([npm, "install", *flags, "--prefix", str(folder), f"{package.name}@{version}", *package.also])
    else:
        _run([_python(harness, package.python), "-m", "venv", str(folder)])
        python, uv = str(folder / "bin" / "python"), shutil.which("uv")
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        if uv is not None:  # many requirements of many versions take pip's resolver minutes
            pip = [uv, "pip", "install", "-q", "--python", python]
        _run([*pip, f"{package.name}=={version}", *package.also])
    if not _program(folder, package).exists():
        raise GymError(f"{package.name} {version} has no program `{package.program}`")
    _run(["chmod", "-R", "a+rX", str(folder)])  # a contained agent is another user


def _python(harness: str, version: str) -> str:
    if not version or version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    name = f"python{version}"
    on_path = shutil.which(name)
    # On PATH may be a stand-in of pyenv's that runs only where that version was chosen.
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    for found in filter(None, (on_path, *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"))))):
        command = [found, "-c", "import sys; print(sys.executable)"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True)
            return asked.stdout.strip()
    problem = f", and {on_path} does not run" if on_path else f": {name} is not on PATH"
    raise UsageError(f"harness {harness}: its package needs Python {version}{problem}")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GymError(f"`{' '.join(command[:3])} ...` was not done after {_INSTALL_SECONDS} s") from None
    if done.returncode:
        last = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-3:]
        raise GymError(f"`{' '.join(command[:3])} ...` failed: {' | '.join(last)}")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _as_found(program: Path) -> Installed:
    """A program that somebody else installed: its version is what it says."""
    real = program.resolve()
    try:
        asked = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise UsageError(f"{program}: does not say its version: {e}") from None
    match = _VERSION.search(asked.stdout + asked.stderr)
    folders = {program.parent, real.parent}
    if "node_modules" in real.parts:
        folders.add(Path(*real.parts[: real.parts.index("node_modules") + 1]))
    elif (real.parent.parent / "pyvenv.cfg").exists():
        folders |= {real.parent.parent, (real.parent / "python").resolve().parents[1]}
    return Installed(program, match[0] if match else "unknown", (*folders, *_interpreter_folders()))


def _interpreters(package: Package, folder: Path) -> tuple[Path, ...]:
    if package.registry == "npm":
        return _interpreter_folders()
    return ((folder / "bin" / "python").resolve().parents[1],)


def _interpreter_folders() -> tuple[Path, ...]:
    """Where Node lives, when that is not with the system."""
    node = shutil.which("node")
    return () if node is None else (Path(node).resolve().parents[1],)
