"""Skills: what is one, what is refused in one line, and where real agents find them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.agents.skills import load_skills
from gym_mcp.coordinator.config import make_config
from gym_mcp.coordinator.connect import connect
from gym_mcp.coordinator.run import start
from gym_mcp.errors import UsageError
from tests.agents.kit import agent_processes, calling_as_offered, installed, offered, run
from tests.coordinator.kit import read_lines
from tests.endpoint import Endpoint

LAB = Path(__file__).parents[1] / "environments" / "lab.py"
GOOD = "---\nname: counting\ndescription: How to count in the lab.\n---\nAlways count upwards. NEEDLE\n"


def skill(folder: Path, text: str = GOOD, name: str = "counting") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "SKILL.md").write_text(text)
    return folder


def test_a_folder_of_skills_has_a_content_hash(tmp_path: Path) -> None:
    one, other = skill(tmp_path / "a" / "mine"), skill(tmp_path / "b" / "mine")
    found = load_skills(str(one))
    assert found.names == ("counting",) and found.ref.startswith("mine@")
    assert load_skills(str(other)).ref == found.ref, "the place does not count"
    (other / "counting" / "script.py").write_text("print()")
    assert load_skills(str(other)).ref != found.ref
    (one / ".git").mkdir()
    (one / ".git" / "index").write_text("1")
    (one / "NOTES.md").write_text("Of no skill.")
    assert load_skills(str(one)).ref == found.ref, "what no agent gets does not count"
    found.stage(tmp_path / "there")
    assert (tmp_path / "there" / "counting" / "SKILL.md").read_text() == GOOD


def test_none_is_the_control_arm(tmp_path: Path) -> None:
    found = load_skills("none")
    assert (found.ref, found.names) == ("none", ())
    found.stage(tmp_path / "there")
    assert not (tmp_path / "there").exists()


BROKEN = {
    "no front matter": ("Just text.", "front matter"),
    "unfinished": ("---\nname: counting\n", "front matter"),
    "no yaml": ("---\nname: [\n---\n", "front matter"),
    "a list": ("---\n- name\n---\n", "front matter"),
    "no name": ("---\ndescription: x\n---\n", "`name` is None"),
    "a bad name": ("---\nname: Count Up\ndescription: x\n---\n", "lower-case"),
    "another name": ("---\nname: adding\ndescription: x\n---\n", "called 'counting'"),
    "no description": ("---\nname: counting\n---\n", "`description`"),
    "an empty description": ("---\nname: counting\ndescription: ' '\n---\n", "`description`"),
    "a long description": (f"---\nname: counting\ndescription: {'x' * 1_025}\n---\n", "`description`"),
}


@pytest.mark.parametrize(("text", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_skill_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        load_skills(str(skill(tmp_path, text)))
    assert "SKILL.md" in str(refused.value) and "\n" not in str(refused.value)


def test_folders_that_hold_none(tmp_path: Path) -> None:
    for source, said in ((tmp_path / "absent", "no such folder"), (tmp_path, "no skills there")):
        with pytest.raises(UsageError, match=said):
            load_skills(str(source))
    skill(tmp_path)
    with pytest.raises(UsageError, match="one skill"):
        load_skills(str(tmp_path / "counting"))
    (tmp_path / "counting" / "link").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="holds no links"):
        load_skills(str(tmp_path))
    (tmp_path / "counting" / "link").unlink()
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "counting").symlink_to(tmp_path / "counting")
    with pytest.raises(UsageError, match="holds no links"):
        load_skills(str(linked))
    shutil.rmtree(linked)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty/SKILL\.md"):
        load_skills(str(tmp_path))


def test_a_harness_without_skills_refuses_them(tmp_path: Path) -> None:
    for source in (str(skill(tmp_path)), "none"):
        config = make_config({"environment": str(LAB), "model": "builtin/oracle", "skills": source})
        with pytest.raises(UsageError, match="harness simple: takes no skills"):
            run(connect, config)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["claude-code", "codex", "opencode", "qwen-code"])
def test_agents_find_their_skills_and_the_control_arm_has_the_same_flags(tmp_path: Path, name: str) -> None:
    installed(name)
    script = calling_as_offered([("add", {"amount": 1})])

    async def arm(source: str, out: Path) -> tuple[dict[str, Any], str, list[str]]:
        async with Endpoint(script, record=True) as endpoint:
            settings = {"environment": str(LAB), "model": "openai-chat/m", "base_url": endpoint.url, "limit": 1}
            await start(make_config({**settings, "harness": name, "skills": source, "max_attempts": 1}), out)
            body = next(b for b in endpoint.bodies if offered(b))
            return read_lines(out / "rollouts.jsonl")[0], str(body), offered(body)

    folder = skill(tmp_path / "mine")
    row, text, tools = run(lambda: arm(str(folder), tmp_path / "with"))
    assert (row["outcome"], row["reward"]) == ("scored", 1.0), row["failure"]
    assert row["skills_ref"] == load_skills(str(folder)).ref
    assert "counting" in text and "How to count in the lab." in text
    control, plain, same = run(lambda: arm("none", tmp_path / "without"))
    assert (control["outcome"], control["skills_ref"]) == ("scored", "none"), control["failure"]
    assert "How to count in the lab." not in plain and same == tools
    assert agent_processes() == []
