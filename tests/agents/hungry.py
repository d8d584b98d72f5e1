"""A real agent in a few lines, as a harness: it takes as much memory as its task says, and asks its model once."""

from __future__ import annotations

import sys
from pathlib import Path

from gym_mcp.agents.agent import Agent, AgentOptions, Launch, Link, Turn
from gym_mcp.agents.harness import AgentHarness
from gym_mcp.agents.package import Package
from gym_mcp.agents.place import Place

MOST = 512
"""MiB that it takes at most, whatever it is told."""
PROGRAM = f"""
import json, os, re, subprocess, sys, time, urllib.request
text = sys.stdin.read()
mib, seconds = (float(re.search(rf"{{word}}=([0-9.]+)", text)[1]) for word in ("mib", "seconds"))
if "child" in text and len(sys.argv) == 1:
    again = [sys.executable, "-c", os.environ["PROGRAM"], "again"]
    sys.exit(subprocess.run(again, input=text, text=True).returncode)
held = bytearray(int(min(mib, {MOST}) * 2**20))
held[::4096] = b"x" * len(held[::4096])
body = json.dumps({{"model": os.environ["MODEL"], "messages": [{{"role": "user", "content": "Hello."}}]}}).encode()
head = {{"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["KEY"]}}
request = urllib.request.Request(os.environ["URL"] + "/chat/completions", body, head)
urllib.request.urlopen(request, timeout=20).read()
time.sleep(min(seconds, 20))
"""


class Hungry(Agent):
    name = "hungry"
    package = Package("pypi", "hungry", "1.0.0", "hungry")
    memory_mib = 20
    speaks_mcp = False

    def prepare(self, place: Place, link: Link, options: AgentOptions, *, skills: bool) -> None:
        return None

    def launch(self, place: Place, link: Link, turn: Turn, options: AgentOptions) -> Launch:
        told = {"URL": link.model_url, "KEY": link.key, "MODEL": link.model, "PROGRAM": PROGRAM}
        return Launch(["-c", PROGRAM], told)


def create(options: AgentOptions) -> AgentHarness:
    return AgentHarness(Hungry(), options.model_copy(update={"binary": Path(sys.executable)}))


Options = AgentOptions
