"""Installing agents: a folder for each version, whole or not at all; what is found, what is said otherwise."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gym_mcp.agents import package
from gym_mcp.agents.package import Package, find, install, installed_versions
from gym_mcp.errors import GymError, UsageError

NPM = """#!/bin/sh
echo install >> "$LOG"
for word; do [ "$previous" = --prefix ] && prefix=$word; previous=$word; done
sleep 0.05
mkdir -p "$prefix/node_modules/.bin"
[ -n "$FAIL" ] && echo "no such version" >&2 && exit 1
printf '#!/bin/sh\\necho tool 1.2.3\\n' > "$prefix/node_modules/.bin/tool"
chmod 755 "$prefix/node_modules/.bin/tool"
"""
TOOL = Package("npm", "some-tool", "1.2.3", "tool")


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for npm that writes one program; its log."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "npm").write_text(NPM)
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "log"


def test_a_version_is_installed_once_and_found(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"harness tool: `tool` 1\.2\.3 is not installed: gym-mcp harness install tool$"
    ):
        find("tool", TOOL)
    found = install("tool", TOOL)
    assert (found.version, found.program.parent.parent.parent) == ("1.2.3", package.cache() / "tool" / "1.2.3")
    assert install("tool", TOOL) == found == find("tool", TOOL)
    assert registry.read_text().count("install") == 1
    assert installed_versions("tool") == ["1.2.3"]


def test_another_version_gets_a_folder_of_its_own() -> None:
    install("tool", TOOL)
    assert install("tool", TOOL, "2.0.0-rc.1").version == "2.0.0-rc.1"
    assert installed_versions("tool") == ["1.2.3", "2.0.0-rc.1"]
    with pytest.raises(UsageError, match=r"gym-mcp harness install tool --version 3\.0\.0"):
        find("tool", TOOL, "3.0.0")


@pytest.mark.parametrize("version", ["latest", "1", "../../etc", "1.2.3 --global"])
def test_versions_are_whole_ones(version: str) -> None:
    with pytest.raises(UsageError, match="a full version is expected"):
        install("tool", TOOL, version)


def test_what_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(GymError, match="no such version"):
        install("tool", TOOL)
    assert installed_versions("tool") == [] and not (package.cache() / "tool" / "1.2.3").exists()
    monkeypatch.delenv("FAIL")
    assert install("tool", TOOL).version == "1.2.3"


def test_half_an_installation_is_none(registry: Path) -> None:
    (install("tool", TOOL).program.parents[2] / ".complete").unlink()
    with pytest.raises(UsageError, match="is not installed"):
        find("tool", TOOL)
    install("tool", TOOL)
    assert registry.read_text().count("install") == 2


def test_those_who_want_the_same_wait_for_each_other(registry: Path) -> None:
    threads = [threading.Thread(target=install, args=("tool", TOOL)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert registry.read_text().count("install") == 1 and find("tool", TOOL)


def test_a_program_on_path_will_do_and_says_its_version(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "tool"
    program.write_text("#!/bin/sh\necho 'tool, version 9.8.7 (build 3)'\n")
    program.chmod(0o755)
    assert find("tool", TOOL).version == "9.8.7"
    assert find("tool", TOOL, "9.8.7").program == program
    with pytest.raises(UsageError, match=r"`tool` 1\.0\.0 is not installed"):
        find("tool", TOOL, "1.0.0")
    assert find("tool", TOOL, binary=program).version == "9.8.7"
    with pytest.raises(UsageError, match="no such program"):
        find("tool", TOOL, binary=tmp_path / "absent")


def test_python_of_another_version_is_asked_for(tmp_path: Path) -> None:
    other = Package("pypi", "some-tool", "1.2.3", "tool", python="2.1")
    with pytest.raises(UsageError, match=r"needs Python 2\.1: python2\.1 is not on PATH"):
        install("tool", other)
    (tmp_path / "bin" / "python2.1").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "python2.1").chmod(0o755)
    with pytest.raises(UsageError, match=r"needs Python 2\.1, and .*python2\.1 does not run"):
        install("tool", other)


def test_a_python_of_pyenv_is_found_where_its_stand_in_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where, text in (("bin", "exit 1"), ("pyenv/versions/2.1.7/bin", "echo /the/python")):
        (tmp_path / where).mkdir(parents=True, exist_ok=True)
        (tmp_path / where / "python2.1").write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / where / "python2.1").chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert package._python("tool", "2.1") == "/the/python"
