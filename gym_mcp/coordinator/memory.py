"""How many rollouts fit into memory at a time, where each is a process of known size."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gym_mcp.coordinator.events import MemoryBound

_MIB: Final = 1 << 20
_CGROUPS: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def bound_by_memory(asked: int, each_mib: int | None) -> MemoryBound:
    """`asked` rollouts at a time, or as many as fit into the free memory at `each_mib` each; at least one."""
    free = available_mib() if each_mib else None
    if not each_mib or free is None:
        return MemoryBound(asked, asked, each_mib or 0, free or 0)
    return MemoryBound(asked, max(1, min(asked, free // each_mib)), each_mib, free)


def available_mib() -> int | None:
    """Memory that may be taken without swapping: the machine's, or what a control group leaves. None: unknown."""
    found = [mib for mib in (_of_machine(), *map(_of_group, _CGROUPS)) if mib is not None]
    return min(found, default=None)


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1_024 for line in lines if line.startswith("MemAvailable:")), None)


def _of_group(files: tuple[str, str]) -> int | None:
    """What is left to this process's control group; page cache counts as taken, so this errs towards less."""
    try:
        limit, used = (Path(file).read_text(encoding="ascii").strip() for file in files)
    except OSError:
        return None
    return max(0, int(limit) - int(used)) // _MIB if limit.isdigit() and used.isdigit() else None
