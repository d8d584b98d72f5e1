"""What all tests share: property tests are not timed, and CI tries the same examples each time.

Other work on the machine would fail timed ones; elsewhere than in CI new examples are tried in every run.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "project",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")
os.environ.setdefault("GYM_MCP_JUDGE_CACHE", "off")  # what a judge said in one test must not be found by another
