"""How much memory there is, and how many rollouts of known size fit into it at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gym_mcp.coordinator.events import MemoryBound

_MIB: Final = 1 << 20
_LEAST_RESERVE: Final = 512


@dataclass(frozen=True, slots=True)
class _Group:
    """Where a control group says what it may take and has taken; `idle` is page cache that it would give back."""

    limit: Path
    used: Path
    stat: Path
    idle: str


_CGROUPS: Final = (
    _Group(
        Path("/sys/fs/cgroup/memory.max"),
        Path("/sys/fs/cgroup/memory.current"),
        Path("/sys/fs/cgroup/memory.stat"),
        "inactive_file",
    ),
    _Group(
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.stat"),
        "total_inactive_file",
    ),
)


def bound_by_memory(asked: int, each_mib: int | None) -> MemoryBound:
    """`asked` rollouts at a time, or as many as fit into the free memory at `each_mib` each; at least one."""
    free = available_mib() if each_mib else None
    if not each_mib or free is None:
        return MemoryBound(asked, asked, each_mib or 0, free or 0)
    return MemoryBound(asked, max(1, min(asked, free // each_mib)), each_mib, free)


def available_mib() -> int | None:
    """Memory that may be taken without swapping: the machine's, or what a control group leaves. None: unknown."""
    left = [limit - used for group in _CGROUPS if (limit := _limit(group)) and (used := _used(group)) is not None]
    found = [mib for mib in (_of_machine("MemAvailable:"), *left) if mib is not None]
    return max(0, min(found)) if found else None


def total_mib() -> int | None:
    """All memory that there is for us. None: unknown."""
    found = [mib for mib in (_of_machine("MemTotal:"), *map(_limit, _CGROUPS)) if mib is not None]
    return min(found, default=None)


def reserve_mib() -> int:
    """What new rollouts must leave free: 5 % of all memory, 512 MiB at least, but a quarter of it at most."""
    total = total_mib() or 0
    return min(max(_LEAST_RESERVE, total // 20), total // 4)


def _of_machine(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1_024 for line in lines if line.startswith(name)), None)


def _limit(group: _Group) -> int | None:
    try:
        text = group.limit.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) // _MIB if text.isdigit() else None


def _used(group: _Group) -> int | None:
    """Page cache counts as taken, as far as it is in use."""
    try:
        used = int(group.used.read_text(encoding="ascii"))
        lines = group.stat.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    idle = next((int(line.split()[1]) for line in lines if line.split()[0] == group.idle), 0)
    return (used - idle) // _MIB
