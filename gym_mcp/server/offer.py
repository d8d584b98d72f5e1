"""What a server serves, as its command line says it: something that a worker process can be told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.server.row import ALONE, Place
from gym_mcp.server.service import Service
from gym_mcp.store import EpisodeStore

MAX_EPISODES: Final = 16_384
TTL: Final = 3_600.0


class Offer(BaseModel):
    """Environments and how to serve them. Limits are of all workers together, and of each environment."""

    environments: list[str]
    settings: dict[str, str] = {}
    tasks: Path | None = None
    record: Path | None = None
    judge: str | None = None
    judge_base_url: str | None = None
    max_episodes: int = MAX_EPISODES
    max_calls: int | None = None
    ttl: float = TTL

    def services(self, place: Place = ALONE) -> list[Service]:
        """The environments, loaded, with this worker's share of what they hold. Raises `UsageError`."""
        judge: Any = None
        if self.judge is not None:
            from gym_mcp.judge import make_judge

            judge = make_judge(self.judge, base_url=self.judge_base_url)
        calls = None if self.max_calls is None else self._share("--max-calls", self.max_calls, place)
        found: list[Service] = []
        for spec in self.environments:
            cls = load_environment(spec, self.settings)
            cls = cls if judge is None else cls.judged_by(judge)
            total, limit = self.max_episodes, "--max-episodes"
            if cls.max_live is not None and cls.max_live < total:
                total, limit = cls.max_live, f"max_live of {cls.name}"
            episodes = self._share(limit, total, place)
            store = EpisodeStore(cls, max_episodes=episodes, ttl=self.ttl, max_calls=calls)
            found.append(Service(cls, store=store, tasks=self.tasks, record=self.record, max_live=total))
        if self.tasks is not None:
            for service in found:
                service.tasks()  # a row that does not fit is told now, not at the first request
        return found

    @staticmethod
    def _share(limit: str, total: int, place: Place) -> int:
        if total < place.workers:
            raise UsageError(
                f"--workers {place.workers}: {limit} is {total}, and each worker needs one: use fewer"
            )
        return place.share(total)


def identities(services: list[Service]) -> dict[str, Mapping[str, str]]:
    """By environment, what must be the same on all workers."""
    return {service.name: service.identity() for service in services}
