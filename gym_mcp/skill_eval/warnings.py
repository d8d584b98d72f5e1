"""What must be known before an effect is put down to a skill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gym_mcp.agents.skills import NONE
from gym_mcp.types import JSONObject

_APART: Final = 0.25
"""Of the time that all took: the same rollout began that much later in one arm than in another."""
_NAMED: Final = 5
_SOON: Final = 60.0
"""Seconds in which an endpoint hardly changes."""


def warnings(arms: Sequence[JSONObject], together: JSONObject | None) -> list[JSONObject]:
    """`code`, `arm` (null: all) and `text` of each."""
    found = [warning for arm in arms for warning in _of_arm(arm)]
    if not any(arm["skills"] == NONE for arm in arms):
        text = "No arm goes without skills: what differs is one skill set from another, not from having none."
        found.append({"code": "no_control", "arm": None, "text": text})
    if together is not None and together["median_gap"] > max(_SOON, _APART * together["span"]):
        text = (
            f"The arms did not run side by side: half of the rollouts began {together['median_gap']:.0f} s apart "
            f"or more, of {together['span']:.0f} s in all. What changed meanwhile may look like an effect."
        )
        found.append({"code": "not_interleaved", "arm": None, "text": text})
    return found


def _of_arm(arm: JSONObject) -> Iterator[JSONObject]:
    name, use = arm["name"], arm["activation"]
    for code, text in (*_foreign(name, use), *_unused(arm, use)):
        yield {"code": code, "arm": name, "text": text}
    left = arm["expected"] - arm["scored"] - sum(arm["failed"].values())
    if left:
        yield {"code": "incomplete", "arm": name, "text": f"{left} rollouts of `{name}` have not run yet."}


def _foreign(name: str, use: JSONObject) -> Iterator[tuple[str, str]]:
    for skill, seen in use["foreign"].items():
        how = ", ".join(f"{what} in {seen[what]}" for what in ("offered", "loaded", "asked") if seen.get(what))
        yield (
            "foreign_skill",
            f"`{name}` knew of `{skill}`, which is not its own ({how} of {use['rollouts']} rollouts): "
            "the arms are not what they are called.",
        )


def _unused(arm: JSONObject, use: JSONObject) -> Iterator[tuple[str, str]]:
    name, ended = arm["name"], use["rollouts"]
    if not arm["names"] or not ended:
        return
    if use["unknown"] == ended:
        yield "unknown", f"Whether `{name}` loaded a skill is not known of any rollout: an effect has no witness."
        return
    if not _seen(use, "offered"):
        yield (
            "never_offered",
            f"No rollout of `{name}` was offered a skill: its agent did not list them, or not in their words.",
        )
    if not _seen(use, "loaded"):
        asked = f" ({use['asked']} asked for one and did not get it)" if use["asked"] else ""
        yield (
            "never_loaded",
            f"No rollout of `{name}` loaded a skill{asked}: a difference is not due to what they say, "
            "at most to their descriptions. Had the agent a tool to read them with (harness_options.shell=true)?",
        )
        return
    for what in ("offered", "loaded"):
        never = [skill for skill, seen in use["skills"].items() if not seen[what] and not seen["unknown"]]
        if never and _seen(use, what):
            text = f"Of `{name}` some skills were never {what}: {_named(never)}. An effect is that of the others."
            yield f"never_{what}", text


def _named(skills: Sequence[str]) -> str:
    more = f" and {len(skills) - _NAMED} more" if len(skills) > _NAMED else ""
    return f"{', '.join(skills[:_NAMED])}{more}"


def _seen(use: JSONObject, what: str) -> bool:
    return any(seen[what] for seen in use["skills"].values())
