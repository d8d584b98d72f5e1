"""What an actor needs of its node, and how many of them a cluster has room for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gym_mcp.errors import UsageError

_OPTIONS: Final = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
_MEANT: Final = {"cpu": "num_cpus", "cpus": "num_cpus", "gpu": "num_gpus", "gpus": "num_gpus"}
_MANY: Final = 10_000


def needs_of(declared: Mapping[str, float], asked: Mapping[str, float]) -> dict[str, float]:
    """What the environment declares, with what the run asks for on top. `UsageError` for what cannot be."""
    if not isinstance(declared, Mapping):
        raise UsageError(f"needs: a mapping of amounts is expected, not {declared!r:.40}")
    needs = {"num_cpus": 1.0, **declared, **asked}
    for name, amount in needs.items():
        if meant := _MEANT.get(name.lower()):
            raise UsageError(f"resources: no `{name}`; did you mean `{meant}`?")
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
            raise UsageError(f"resources: `{name}` is an amount, not {amount!r:.40}")
        if amount > 1 and amount != int(amount):
            raise UsageError(f"resources: {name}={amount:g}: Ray shares out whole ones, or parts of one")
    return needs


def actor_options(needs: Mapping[str, float]) -> dict[str, Any]:
    """The needs as options of a Ray actor."""
    own = {name: amount for name, amount in needs.items() if name not in _OPTIONS and amount}
    known = {name: amount for name, amount in needs.items() if name in _OPTIONS}
    if "memory" in known:
        known["memory"] = int(known["memory"])
    return {**known, "resources": own}


def room_for(
    needs: Mapping[str, float], capacity: Mapping[str, float], reserved: Mapping[str, float] | None = None
) -> int:
    """How many such actors a cluster of this capacity takes beside what is `reserved`."""
    counts = [
        int((capacity.get(_OPTIONS.get(name, name), 0.0) - (reserved or {}).get(name, 0.0)) / amount)
        for name, amount in needs.items()
        if amount
    ]
    return max(0, min(counts, default=_MANY))


def in_words(needs: Mapping[str, float]) -> str:
    """`CPU 1, gpu_node 1`."""
    found = [f"{_OPTIONS.get(name, name)} {amount:g}" for name, amount in needs.items() if amount]
    return ", ".join(found) or "nothing"
