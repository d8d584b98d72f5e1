"""One way to derive every random stream, so that the same triple gives the same episode on any worker."""

from __future__ import annotations

import hashlib


def episode_seed(run_seed: int, task_id: str, repeat: int) -> int:
    """63-bit seed of (run seed, task id, repeat): the first 8 bytes of a BLAKE2b hash, top bit cleared."""
    text = f"{run_seed}\x1f{task_id}\x1f{repeat}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
