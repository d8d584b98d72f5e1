"""What an actor needs, as Ray's options, in words, and against what a cluster has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.cluster.needs import actor_options, in_words, needs_of, room_for
from gym_mcp.coordinator.run import start
from gym_mcp.errors import UsageError
from tests.coordinator.kit import config
from tests.support import run


def test_a_run_wins_over_the_environment_and_one_cpu_is_the_default() -> None:
    assert needs_of({}, {}) == {"num_cpus": 1.0}
    assert needs_of({"num_cpus": 4, "gpu_node": 1}, {"num_cpus": 2}) == {"num_cpus": 2, "gpu_node": 1}


def test_options_of_an_actor() -> None:
    needs = {"num_cpus": 2.0, "memory": 1e9, "gpu_node": 0.5, "none": 0.0}
    assert actor_options(needs) == {"num_cpus": 2.0, "memory": 1_000_000_000, "resources": {"gpu_node": 0.5}}
    assert in_words(needs) == "CPU 2, memory 1e+09, gpu_node 0.5"


@pytest.mark.parametrize(
    ("needs", "count"),
    [
        ({"num_cpus": 1}, 10),
        ({"num_cpus": 3}, 3),
        ({"num_cpus": 0.5, "num_gpus": 1}, 2),
        ({"num_cpus": 1, "special": 1}, 0),
        ({"num_cpus": 11}, 0),
    ],
)
def test_room_of_a_cluster(needs: Mapping[str, float], count: int) -> None:
    assert room_for(needs, {"CPU": 10.0, "GPU": 2.0, "memory": 1e10, "node:10.0.0.1": 1.0}) == count


def test_who_needs_nothing_fits_everywhere() -> None:
    assert room_for({"num_cpus": 0}, {"CPU": 1.0}) > 1_000


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"gpus": 1}, "no `gpus`; did you mean `num_gpus`?"),
        ({"CPU": 1}, "did you mean `num_cpus`?"),
        ({"num_cpus": -1}, "`num_cpus` is an amount, not -1"),
        ({"num_cpus": float("inf")}, "is an amount, not inf"),
        ({"num_cpus": float("nan")}, "is an amount, not nan"),
        ({"num_cpus": True}, "is an amount, not True"),
        ({"num_cpus": "2"}, "is an amount, not '2'"),
        ({"num_gpus": 1.5}, "num_gpus=1.5: Ray shares out whole ones"),
    ],
)
def test_what_cannot_be_is_refused(asked: Mapping[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("?", r"\?")):
        needs_of({}, asked)


def test_a_declaration_that_is_no_mapping_is_refused() -> None:
    declared: Any = ["num_cpus"]
    with pytest.raises(UsageError, match="needs: a mapping of amounts is expected"):
        needs_of(declared, {})


def test_what_servers_take_is_not_there_for_actors() -> None:
    assert room_for({"num_cpus": 1}, {"CPU": 4.0}, {"num_cpus": 3.0}) == 1
    assert room_for({"num_cpus": 1}, {"CPU": 4.0}, {"num_cpus": 9.0}) == 0


def test_servers_of_an_environment_need_a_cluster(tmp_path: Path) -> None:
    made = config(env_servers=2)
    with pytest.raises(UsageError, match="give --ray"):
        run(lambda: start(made, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
