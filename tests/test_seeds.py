"""The same triple gives the same seed, everywhere and for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.seeds import episode_seed


def test_seeds_are_pinned() -> None:
    """A change here changes every episode of every run that is resumed."""
    triples = [(0, "t", 0), (0, "t", 1), (1, "t", 0), (0, "ü", 0)]
    assert [episode_seed(*triple) for triple in triples] == [
        2201705760870513803,
        9117275093326035892,
        6101972938961009953,
        4255870877810736036,
    ]


def test_the_parts_do_not_run_into_each_other() -> None:
    triples = [(r, t, n) for r in (0, 1, 11) for t in ("", "1", "11", "t1") for n in (0, 1, 11)]
    assert len({episode_seed(*triple) for triple in triples}) == len(triples)


@given(st.integers(), st.text(st.characters(exclude_categories=["Cs"])), st.integers(0))
def test_seeds_fit_63_bits_and_repeat(run: int, task: str, repeat: int) -> None:
    seed = episode_seed(run, task, repeat)
    assert 0 <= seed < 2**63 and seed == episode_seed(run, task, repeat)


def test_every_bit_is_used() -> None:
    seeds = [episode_seed(0, "t", n) for n in range(200)]
    assert all(0 < sum(seed >> bit & 1 for seed in seeds) < 200 for bit in range(63))
