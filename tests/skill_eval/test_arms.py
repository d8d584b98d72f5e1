"""What `--skills` of an experiment may be, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_mcp.errors import UsageError
from gym_mcp.skill_eval.arms import control_first, parse_arms
from tests.skill_eval.kit import skill_folder


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    skill_folder(tmp_path / "other", "adding")
    skill_folder(tmp_path / "again" / "mine", "adding")
    skill_folder(tmp_path / "two, of them", "adding", "counting")
    return skill_folder(tmp_path / "mine", "counting", "adding", "asking")


@pytest.mark.usefixtures("mine")
def test_arms_are_folders_parts_of_them_and_none() -> None:
    arms = parse_arms(["mine,mine:counting", "mine:-counting", "v2=other,none"])
    assert [arm.name for arm in arms] == ["mine", "mine.counting", "mine.without-counting", "v2", "none"]
    names = [arm.skills.names for arm in arms]
    assert names == [("adding", "asking", "counting"), ("counting",), ("adding", "asking"), ("adding",), ()]
    assert [arm.skills.ref.partition("@")[0] for arm in arms] == [arm.name for arm in arms]
    assert next(control_first(arms)).is_control


@pytest.mark.usefixtures("mine")
def test_a_folder_may_have_a_comma_in_its_name() -> None:
    assert [arm.name for arm in parse_arms(["none", "two=two, of them:adding"])] == ["none", "two"]


REFUSED = {
    "one": (["mine"], "two arms or more"),
    "nothing": (["mine,,none"], "without a folder"),
    "absent": (["mine,yours"], "yours: no such folder"),
    "a skill": (["mine/counting,none"], "give the folder that holds it"),
    "no such skill": (["mine:countin,none"], "no skill `countin`.*counting"),
    "nothing left": (["other:-adding,none"], "that is the arm `none`"),
    "a bad name": (["../x=mine,none"], "cannot be called '../x'"),
    "a reserved name": (["none=mine,none"], "`none` is the name of the arm without skills"),
    "one name": (["mine,again/mine"], "both called `mine`; name it with NAME=DIR"),
    "one name in other letters": (["a=mine,A=other"], "both called `A`"),
    "the same skills": (["other,again=again/mine"], "the same skills"),
    "the control arm twice": (["none,plain=none"], "the same skills"),
}


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(("texts", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_arms(texts)
    assert str(refused.value).startswith("--skills") and "\n" not in str(refused.value)
