"""The files of `deploy/` start what they say: their arguments are those of `gym-mcp serve`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.faults.process import begin, kill_group

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"


def arguments() -> dict[str, list[str]]:
    compose: Any = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    deployment, _ = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    found = re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.M)
    return {
        "image": orjson.loads(found[0]),
        "compose": compose["services"]["environment"]["command"],
        "kubernetes": deployment["spec"]["template"]["spec"]["containers"][0]["args"],
    }


def test_no_secret_stands_in_them() -> None:
    for path in DEPLOY.iterdir():
        for line in path.read_text().splitlines():
            if "OPERATOR_KEY" in line and not line.startswith("#"):
                assert line.strip() == "- name: GYM_MCP_OPERATOR_KEY" or "${GYM_MCP_OPERATOR_KEY:?" in line


def test_each_worker_has_a_port() -> None:
    compose: Any = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    deployment, service = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    for words in (arguments()["compose"], arguments()["kubernetes"]):
        count = int(words[words.index("--workers") + 1])
        ports = list(range(8765, 8765 + count))
        assert [port["containerPort"] for port in container["ports"]] == ports
        assert [port["port"] for port in service["spec"]["ports"]] == ports
        row = f"8765-{ports[-1]}"
        assert compose["services"]["environment"]["ports"] == [f"127.0.0.1:{row}:{row}"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["image", "compose", "kubernetes"])
def test_their_commands_serve(name: str) -> None:
    command = [word.replace("0.0.0.0:8765", "127.0.0.1:0") for word in arguments()[name]]
    assert "127.0.0.1:0" in command
    process = begin("serve", *command, "--json", GYM_MCP_OPERATOR_KEY="k" * 40)
    try:
        assert process.stdout is not None
        ready = orjson.loads(process.stdout.readline())
        assert list(ready["environments"]) == ["workplace_assistant"] and ready["operator_key_file"] is None
    finally:
        kill_group(process)
