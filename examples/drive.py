"""Play one episode with any agent that takes its URL, and print its reward.

    gym-mcp serve workplace_assistant
    python examples/drive.py http://127.0.0.1:PORT/workplace_assistant MODEL_BASE_URL -- python agent.py

It holds the operator plane: it opens the episode, runs the command with the episode's URL and the model's base URL
as its arguments, and has the episode verified with the command's last line of output as the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any

from gym_mcp.client import EnvironmentClient
from gym_mcp.datasets import parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import GymError
from gym_mcp.http import HTTPClient
from gym_mcp.types import JSONObject, Transcript, assistant_message

TIMEOUT = 300.0


async def drive(
    environment: str, model_base_url: str, command: Sequence[str], *, key: str | None = None, task_id: str = ""
) -> JSONObject:
    """Reward, ledger and answer of one episode. `key` is the operator's; `HTTPClient` finds it if None."""
    async with HTTPClient(environment, key) as client:
        row = await _row(client, task_id)
        episode = await client.open_episode(parse_task(Environment[Any], row, environment), seed=0)
        assert episode.agent.url is not None
        try:
            answer = await run([*command, episode.agent.url, model_base_url])
        except BaseException:
            await episode.close()
            raise
        verdict = await episode.verify(Transcript([assistant_message(answer)]))
    return {"reward": verdict.reward.score, "answer": answer, "ledger": verdict.ledger}


async def _row(client: EnvironmentClient, task_id: str) -> JSONObject:
    async for row in client.tasks():
        if task_id in ("", row["id"]):
            return row
    raise SystemExit(f"no task {task_id}")


async def run(command: Sequence[str]) -> str:
    """The last line that `command` prints; `RuntimeError` with its errors when it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(
            f"{command[-3]}: exit code {process.returncode}\n{errors.decode(errors='replace')[-4000:]}"
        )
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", help="URL of a served environment")
    parser.add_argument("model_base_url")
    parser.add_argument("--task", default="", help="id of the task; default: the first")
    parser.add_argument("command", nargs="+", help="what runs the agent; the two URLs are appended")
    options = parser.parse_args()
    playing = drive(options.environment, options.model_base_url, options.command, task_id=options.task)
    try:
        result = asyncio.run(playing)
    except (GymError, OSError, RuntimeError) as e:  # no such environment or program, an agent that fails
        raise SystemExit(f"drive.py: {e}") from None
    print(json.dumps(result))


if __name__ == "__main__":
    main()
