"""Benchmarks as overlays: an environment with a frozen dataset, a prompt and a number of repeats."""

from gym_mcp.benchmarks.overlay import listed, settings_of
from gym_mcp.benchmarks.prepare import Prepared, prepare
from gym_mcp.benchmarks.spec import SMOKE, Benchmark, load_benchmark

__all__ = ["SMOKE", "Benchmark", "Prepared", "listed", "load_benchmark", "prepare", "settings_of"]
