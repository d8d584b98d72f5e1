"""OpenEnv's own server with an environment whose step waits; runs in an environment that has `openenv-core`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn
from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app


class Wait(Action):
    seconds: float


class Waited(Observation):
    waited: float = 0.0


class Waiting(Environment[Wait, Waited, State]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Waited:
        self.waited = 0.0
        return Waited()

    async def reset_async(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Waited:
        return self.reset()

    def step(self, action: Wait, timeout_s: float | None = None, **kwargs: Any) -> Waited:
        raise NotImplementedError

    async def step_async(self, action: Wait, timeout_s: float | None = None, **kwargs: Any) -> Waited:
        await asyncio.sleep(action.seconds)
        self.waited += action.seconds
        return Waited(waited=self.waited, done=True, reward=self.waited)

    @property
    def state(self) -> State:
        return State()


if __name__ == "__main__":
    app = create_fastapi_app(Waiting, Wait, Waited, max_concurrent_envs=1_000_000)
    port = int(sys.argv[1])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", ws_ping_interval=None)
