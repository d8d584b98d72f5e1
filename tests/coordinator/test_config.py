"""Flags, one experiment file and dotted overrides: what wins over what, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gym_mcp.cli import eval as eval_commands
from gym_mcp.coordinator.config import RunConfig, load_experiment, make_config, make_plan, merged, parse_overrides
from gym_mcp.errors import UsageError

BASE = {"environment": "mcqa", "model": "builtin/null"}

YAML = """
environments: [mcqa, {name: workplace_assistant, limit: 5, env: {tables: data}}]
models:
  - builtin/oracle
  - {name: openai/small, base_url: "http://127.0.0.1:1/v1", sampling: {temperature: 1.0}}
repeats: 4
limits: {turns: 7}
sampling: {temperature: 0.5, top_p: 0.9}
"""
TOML = """
environments = ["mcqa"]
models = ["builtin/oracle", "builtin/null"]
harnesses = ["simple", {name = "other", limits = {turns = 3}}]
repeats = 2
"""


def captured(monkeypatch: pytest.MonkeyPatch, *flags: str) -> RunConfig:
    """The configuration that `eval run` makes of flags."""
    made: list[RunConfig] = []

    def keep(values: dict[str, Any], where: str) -> RunConfig:
        made.append(make_config(values, where))
        raise UsageError("enough")

    monkeypatch.setattr("gym_mcp.coordinator.config.make_config", keep)
    result = CliRunner().invoke(eval_commands.run, list(flags))
    if not made:
        assert result.exception is not None
        raise result.exception
    return made[0]


def test_every_flag_reaches_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = (
        "-e mcqa -m openai/x -H simple --base-url http://h/v1 --input rows.jsonl --limit 3 --repeats 2 "
        "--concurrency 9 --seed 5 --temperature 0.25 --top-p 0.5 --max-output-tokens 64 --max-turns 4 "
        "--max-tokens 1000 --max-cost 0.5 --max-seconds 30 --model-timeout 2 --max-retries 0 --max-attempts 3 "
        "--price 0.25,2 --judge openai/judge --judge-base-url http://j/v1 "
        "--set env.mode=last --set sampling.seed=7 --set harness_options.depth=2"
    )
    expected = {
        "environment": "mcqa",
        "model": "openai/x",
        "harness": "simple",
        "base_url": "http://h/v1",
        "input": Path("rows.jsonl"),
        "limit": 3,
        "repeats": 2,
        "concurrency": 9,
        "seed": 5,
        "limits": {"turns": 4, "tokens": 1000, "cost": 0.5, "seconds": 30.0},
        "sampling": {"temperature": 0.25, "top_p": 0.5, "max_output_tokens": 64, "seed": 7},
        "env": {"mode": "last"},
        "harness_options": {"depth": 2},
        "judge": "openai/judge",
        "judge_base_url": "http://j/v1",
        "model_timeout": 2.0,
        "max_retries": 0,
        "max_attempts": 3,
        "price": (0.25, 2.0),
    }
    got = captured(monkeypatch, *flags.split()).model_dump()
    assert {key: got[key] for key in expected} == expected


def test_flags_win_over_set(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("-e", "mcqa", "-m", "builtin/null", "--max-turns", "4", "--set", "limits.turns=9")
    assert captured(monkeypatch, *flags, "--set", "limits.tokens=5").limits.model_dump() == {
        "turns": 4,
        "tokens": 5,
        "cost": None,
        "seconds": 3600.0,
    }


@pytest.mark.parametrize("price", ["1", "a,b", "1,2,3", ""])
def test_a_price_is_two_numbers(monkeypatch: pytest.MonkeyPatch, price: str) -> None:
    with pytest.raises(UsageError, match="price"):
        captured(monkeypatch, "-e", "mcqa", "-m", "builtin/null", "--price", price)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"repeat": 2}, "no setting `repeat`; did you mean `repeats`?"),
        ({"environment": ""}, "no environment: give -e NAME"),
        ({"model": None}, "no model: give -m SPEC"),
        ({"repeats": 0}, "repeats: Input should be greater than or equal to 1"),
        ({"limits": {"turn": 1}}, "limits.turn"),
        ({"limits": {"turns": "many"}}, "limits.turns"),
        ({"sampling": "hot"}, "sampling"),
    ],
)
def test_a_mistake_is_told_with_its_field(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_config({**BASE, **change}, "here")
    assert str(caught.value).startswith("here: ") and told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_yaml_experiment_is_every_combination(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(YAML)
    runs = load_experiment(path, {}).runs
    assert [(r.environment, r.model) for r in runs] == [
        ("mcqa", "builtin/oracle"),
        ("mcqa", "openai/small"),
        ("workplace_assistant", "builtin/oracle"),
        ("workplace_assistant", "openai/small"),
    ]
    assert [r.limit for r in runs] == [None, None, 5, 5]
    assert [r.sampling["temperature"] for r in runs] == [0.5, 1.0, 0.5, 1.0]
    assert all(r.repeats == 4 and r.limits.turns == 7 and r.sampling["top_p"] == 0.9 for r in runs)
    assert [r.env for r in runs] == [{}, {}, {"tables": "data"}, {"tables": "data"}]


def test_a_toml_experiment_and_its_harnesses(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(TOML)
    runs = load_experiment(path, {}).runs
    assert [(r.model, r.harness, r.limits.turns) for r in runs] == [
        ("builtin/oracle", "simple", 100),
        ("builtin/oracle", "other", 3),
        ("builtin/null", "simple", 100),
        ("builtin/null", "other", 3),
    ]


def test_flags_win_over_the_file_and_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(YAML)
    over = {"model": "openai/small", "repeats": 1, "sampling": {"temperature": 0.0}, "limit": 2}
    runs = load_experiment(path, over).runs
    assert [(r.environment, r.model, r.repeats) for r in runs] == [
        ("mcqa", "openai/small", 1),
        ("workplace_assistant", "openai/small", 1),
    ]
    assert all(r.sampling == {"temperature": 0.0, "top_p": 0.9} and r.limit == 2 for r in runs)
    path.write_text(YAML.replace("- builtin/oracle", "- {name: builtin/oracle, repeats: 9}"))
    assert {r.repeats for r in load_experiment(path, {"repeats": 1}).runs} == {1}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("e.yaml", "models: [builtin/null]", "no `environments`"),
        ("e.yaml", "environments: [mcqa]", "no `models`"),
        ("e.yaml", "environments: mcqa\nmodels: [a]", "environments: Input should be a valid list"),
        ("e.yaml", "environments: [{limit: 1}]\nmodels: [a]", "needs `name`"),
        ("e.yaml", "environments: [mcqa]\nmodels: [a]\nrepeets: 1", "did you mean `repeats`?"),
        ("e.yaml", "- a", "a mapping of settings is expected"),
        ("e.yaml", "a: [", "e.yaml: "),
        ("e.toml", "a = ", "e.toml: "),
        ("absent.yaml", None, "No such file"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        load_experiment(tmp_path / name, {})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_flag_stands_in_for_a_list_that_the_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("model: builtin/null\nrepeats: 3")
    (run,) = load_experiment(path, {"environment": "mcqa"}).runs
    assert (run.environment, run.model, run.repeats) == ("mcqa", "builtin/null", 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("null", None),
        ("word", "word"),
        ("2023-11-30", "2023-11-30"),
        ("[1, 2]", [1, 2]),
        ("a=b", "a=b"),
        ("{", "{"),
        ("", None),
    ],
)
def test_the_value_of_an_override(text: str, value: Any) -> None:
    got = parse_overrides([f"sampling.x={text}"])["sampling"]["x"]
    assert got == value and type(got) is type(value)


def test_overrides_nest_and_the_last_one_wins() -> None:
    assert parse_overrides(["limits.turns=1", "limits.tokens=2", "limits.turns=3", "seed=4"]) == {
        "limits": {"turns": 3, "tokens": 2},
        "seed": 4,
    }
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "d": {"e": 1}}) == {
        "a": {"b": 9, "c": 2},
        "d": {"e": 1},
    }


@pytest.mark.parametrize("pair", ["turns", "=3", ""])
def test_an_override_without_key_or_value_is_told_the_form(pair: str) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE is expected"):
        parse_overrides([pair])


def test_runs_together_share_one_concurrency_and_may_have_less_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "environments: [mcqa, {name: slow, concurrency: 8, share: 2}]\nmodels: [builtin/null]\n"
        "concurrency: 100\ntogether: true\n"
    )
    plan = load_experiment(path, {})
    assert plan.together and plan.concurrency == 100
    assert [(run.concurrency, run.share) for run in plan.runs] == [(100, 1.0), (8, 2.0)]
    plan = load_experiment(path, {"concurrency": 32})
    assert plan.concurrency == 32 and [run.concurrency for run in plan.runs] == [32, 8]
    plan = load_experiment(path, {"together": False, "concurrency": 32})
    assert not plan.together and [run.concurrency for run in plan.runs] == [32, 32]
    with pytest.raises(UsageError, match="together: true or false is expected, not 'yes'"):
        load_experiment(path, {"together": "yes"})


def test_flags_alone_may_ask_for_several_runs() -> None:
    plan = make_plan({"environments": ["a", "b"], "model": "builtin/null", "together": True})
    assert [run.environment for run in plan.runs] == ["a", "b"] and plan.together
    assert make_plan({"environment": "a", "model": "m", "together": True}).together is False
    with pytest.raises(UsageError, match="eval run: no `models`, and no flag that gives one: -m SPEC"):
        make_plan({"environments": ["a", "b"]})
    with pytest.raises(UsageError, match="eval run: no model: give -m SPEC"):
        make_plan({"environment": "a"})
