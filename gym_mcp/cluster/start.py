"""From a run's settings to its crew on a cluster."""

from __future__ import annotations

import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from gym_mcp.cluster.crew import ClusterCrew
from gym_mcp.cluster.fleet import Fleet
from gym_mcp.cluster.needs import needs_of, room_for
from gym_mcp.cluster.parcel import Parcel, pack
from gym_mcp.cluster.remote import Cargo, Places
from gym_mcp.cluster.session import AUTO, Session, join
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import Parts, identity, is_url
from gym_mcp.coordinator.groups import Groups
from gym_mcp.coordinator.rollout import Arm
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.crew.orders import plan
from gym_mcp.crew.process import MEMBER
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.crew.start import refuse_recorded_judge, task_reader, waiting_room
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.metrics.tally import Tally
from gym_mcp.models.keys import variables
from gym_mcp.server.keys import VARIABLE, client_key
from gym_mcp.types import JSONObject

SERVER: Final = "gym_mcp.cluster.server"
_KEY: Final = "_API_KEY"
_TOKEN: Final = "HF_TOKEN"


def join_for(config: RunConfig, cls: type[Environment[Any]]) -> Session:
    """The cluster of a run, before the run leaves anything anywhere. `UsageError` for what does not fit."""
    refuse_recorded_judge(config, "--ray")
    needs_of(cls.needs, config.resources)
    if config.env_servers is not None and is_url(config.environment):
        raise UsageError(f"env_servers: {config.environment} is served already; leave env_servers out")
    return join(AUTO if config.ray is None else config.ray)


def make_cluster_crew(
    session: Session,
    directory: RunDirectory,
    arm: Arm,
    config: RunConfig,
    parts: Parts,
    tally: Tally,
    done: bytearray,
    groups: Groups | None,
) -> tuple[ClusterCrew, Callable[[], Awaitable[bool]]]:
    """The crew of a run, and what it has to do. The caller holds the run's lock."""
    needs = needs_of(parts.environment_type.needs, config.resources)
    parcel = pack(config, parts)
    actors = config.workers or room_for(needs, session.capacity())
    setup, keys, files = _setup(config, arm, parcel, actors), keys_for(config), session.ray.put(parcel.data)
    ours, fleet, reserved = identity(config, parts, ""), None, dict[str, float]()
    if config.env_servers is not None:
        keys[VARIABLE] = secrets.token_urlsafe(32)
        servers = Places(session.ray, needs, Cargo({**setup, "module": SERVER}, keys, files))
        fleet = Fleet(servers, config.env_servers, dict(parts.description.identity))
        reserved = {name: config.env_servers * amount for name, amount in needs.items()}
        needs, ours = needs_of({}, {}), {**ours, "judge": None}
    crew = ClusterCrew(
        arm,
        SharedJournal(directory.rollouts_path),
        tally,
        config.concurrency,
        session=session,
        places=Places(session.ray, needs, Cargo({**setup, "module": MEMBER}, keys, files)),
        needs=needs,
        reserved=reserved,
        asked=config.workers,
        identity=ours,
        tasks=directory.tasks_path,
        task_at=task_reader(directory, parts),
        waiting=waiting_room(directory, tally, groups),
        fleet=fleet,
        config=setup["config"],
    )
    orders = plan(directory.tasks_path, tally.repeats, done, groups.give if groups is not None else None)
    return crew, lambda: crew.run_orders(orders)


def _setup(config: RunConfig, arm: Arm, parcel: Parcel, actors: int) -> JSONObject:
    """The first message to a worker process on a node."""
    return {
        "config": config.model_dump(mode="json"),
        "workers": max(1, min(actors, config.concurrency)),
        "run_id": arm.run_id,
        "moved": parcel.moved,
        "hubs": parcel.hubs,
        "more_path": parcel.path,
    }


def keys_for(config: RunConfig) -> dict[str, str]:
    """What goes to the nodes of this machine's environment: all of `.env`, `..._API_KEY` and HF_TOKEN."""
    found = variables({})
    found.update((k, v) for k, v in os.environ.items() if v and (k.endswith(_KEY) or k == _TOKEN))
    if is_url(config.environment):
        found[VARIABLE] = client_key(urlsplit(config.environment).port)
    return found
