"""Checks that nothing an agent sends breaks an environment, and that episodes leave nothing behind."""

from __future__ import annotations

import gc
import json
import math
import random
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any, Final

from gym_mcp.client import EpisodeClient
from gym_mcp.errors import EnvironmentFailure, RolloutError, VerifierError
from gym_mcp.report_card.card import Check, fail, ok
from gym_mcp.report_card.exam import Exam, random_call
from gym_mcp.report_card.play import perform
from gym_mcp.types import Call, Item, JSONObject, Transcript, assistant_message

GROWTH: Final = 64.0
"""Bytes an episode may leave behind on average, in both halves of the measurement; containers grow in steps."""
_STEP: Final = 16_384
"""Bytes in half of few, slow episodes that are nothing yet: libraries warm up, containers grow in steps."""
_CALLS: Final = 10
_ALPHABET: Final = "aZ09 _-.,:;!?'\"\\/{}[]()<>$%&|\n\t\r\x00\x07\x1b\x7f\u00a0\u0301\u200b\u202e\ufeffé中ש😀"


def random_text(rng: random.Random) -> str:
    """What a model might say on a bad day: markup, JSON, control characters, very long or odd text."""
    match rng.randrange(8):
        case 0:
            return "".join(rng.choice(_ALPHABET) for _ in range(rng.randrange(60)))
        case 1:
            return rng.choice(("x", "\\boxed{", "((", "Answer: ", "\n")) * rng.randrange(20_000)
        case 2:
            return json.dumps({"answer": rng.choice((None, [], {}, 1e308, "x")), "n": [[]] * rng.randrange(9)})
        case 3:
            return rng.choice(("nan", "inf", "-inf", "1e999", "-0", "0x10", "١٢٣", "½", "9" * 5_000))
        case 4:
            return "\\boxed{" * rng.randrange(5) + rng.choice("ABC1") + "}" * rng.randrange(5)
        case 5:
            return "<answer>" + "".join(rng.choice(_ALPHABET) for _ in range(20)) + rng.choice(("</answer>", ""))
        case 6:
            return "".join(
                chr(rng.choice((rng.randrange(32, 0xD800), rng.randrange(0xE000, 0x110000)))) for _ in "x" * 30
            )
        case _:
            return rng.choice(
                ("```python\nx\n```", "{", '{"a":', "null", "true", "[]", " ", "%s %d {0}", "' OR 1=1 --")
            )


async def answers(exam: Exam) -> Check:
    """Whatever is answered, the reward is finite and inside the declared range."""
    rng = random.Random(exam.seed)
    tried = 0
    for i in exam.budget(exam.effort.fuzz):
        task, text = exam.tasks[i % len(exam.tasks)], random_text(rng)
        try:
            trace = await perform(exam.client, task, exam.episode_seed(task), [text])
        except (VerifierError, EnvironmentFailure) as e:
            return fail("answers", str(e), [(task.id, f"answer {text!r:.120}{_cause(e)}")])
        if not math.isfinite(trace.reward.score):
            return fail(
                "answers", f"reward {trace.reward.score} for an answer", [(task.id, f"answer {text!r:.120}")]
            )
        tried += 1
    low, high = exam.cls.reward_range
    return ok("answers", f"{tried} random answers score inside [{low:g}, {high:g}]")


async def calls(exam: Exam) -> Check:
    """Whatever is called, no tool raises anything but `ToolError`, and read-only ones change no state."""
    rng = random.Random(exam.seed + 1)
    tried = 0
    bugs: dict[str, tuple[str, str]] = {}
    changed: dict[str, tuple[str, str]] = {}
    for i in exam.budget(max(1, exam.effort.fuzz // _CALLS)):
        task = exam.tasks[i % len(exam.tasks)]
        episode = await exam.client.open_episode(task, seed=exam.episode_seed(task, i))
        try:
            for name, what in await _call_wildly(episode, rng):
                changed.setdefault(name, (task.id, what))
            made = await episode.ledger()
            tried += len(made)
            for entry in made:
                if entry["error"] in ("exception", "timeout"):
                    bugs.setdefault(entry["name"], (task.id, _bug(entry)))
            if made and made[-1]["error"] not in ("exception", "timeout"):
                await episode.verify(Transcript([assistant_message("done")]))
        except VerifierError as e:
            return fail("calls", str(e), [(task.id, f"after random calls{_cause(e)}")])
        finally:
            await episode.close()
    if bugs:
        return fail("calls", f"random calls make {', '.join(bugs)} fail: raise ToolError instead", bugs.values())
    if changed:
        reason = (
            f"{', '.join(changed)} of read_only=True changes state; a log of calls belongs into a _private name"
        )
        return fail("calls", reason, changed.values())
    return ok(
        "calls", f"{tried} random calls, valid and not, raise nothing but ToolError" if tried else "no tools"
    )


async def _call_wildly(episode: EpisodeClient, rng: random.Random) -> list[tuple[str, str]]:
    """Make random calls; (tool, what changed) of those that are declared to change nothing."""
    specs = await episode.agent.list_tools()
    tools = [spec.as_function() for spec in specs]
    reading = {spec.name for spec in specs if spec.read_only}
    changed: list[tuple[str, str]] = []
    for _ in range(_CALLS if tools else 0):
        call = _spoiled(random_call(tools, rng), tools, rng)
        before = await episode.state() if call.name in reading else {}
        result = await episode.agent.call(call.name, call.arguments)
        if call.name in reading and not result.is_error:
            names = _differing(before, await episode.state())
            changed += [(call.name, f"{call!r:.120} changed {', '.join(names)}")] if names else []
        if result.ended:
            break
    return changed


def _differing(before: JSONObject, after: JSONObject) -> list[str]:
    """Names of what changed, compared as text: a NaN equals nothing. The end of the episode is no state."""
    old, new = ({k: json.dumps(v, sort_keys=True) for k, v in state.items()} for state in (before, after))
    return sorted(k for k in {*old, *new} - {"done"} if old.get(k) != new.get(k))


def _spoiled(call: Call, tools: Sequence[Item], rng: random.Random) -> Call:
    """The call as it is, with odd text where any text is allowed, or with arguments that do not fit."""
    arguments: dict[str, Any] = dict(call.arguments)
    match rng.randrange(5):
        case 0 | 1:
            return call
        case 2 | 3:
            schema = next(tool["parameters"] for tool in tools if tool["name"] == call.name)
            for name, argument in schema.get("properties", {}).items():
                if name in arguments and argument.get("type") == "string" and set(argument) <= _FREE_TEXT:
                    arguments[name] = random_text(rng)
        case _:
            wrong = rng.choice(("extra", "missing", "type", "name"))
            if wrong == "name":
                return Call(random_text(rng)[:200], **arguments)
            if wrong == "extra" or not arguments:
                arguments["no_such_argument"] = 1
            elif wrong == "missing":
                arguments.pop(rng.choice(list(arguments)))
            else:
                arguments[rng.choice(list(arguments))] = rng.choice(
                    (None, [], {"a": [1]}, "x", -1.5, True, 10**30)
                )
    return Call(call.name, **arguments)


_FREE_TEXT: Final = {"type", "description", "default", "title"}


def _bug(entry: JSONObject) -> str:
    reason = _last(entry.get("detail", "")) or "took too long"
    return f"{entry['name']}({json.dumps(entry['arguments'], default=str):.120}): {reason}"


def _cause(error: RolloutError) -> str:
    return f"; {_last(error.detail)}" if error.detail else ""


def _last(detail: str) -> str:
    """The last line of a traceback: the exception itself."""
    lines = detail.strip().splitlines()
    return lines[-1] if lines else ""


async def growth(exam: Exam) -> Check:
    """Opening and closing episodes leaves nothing behind, by the bytes that Python has allocated."""
    task, store = exam.tasks[0], exam.client.store
    sixth, pause = max(1, exam.effort.episodes // 6), exam.effort.seconds / 6  # the latter where opening is slow
    due = time.monotonic() + pause
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start(1)
    marks: list[tuple[int, int]] = []
    try:
        for i in exam.budget(exam.effort.episodes, least=30):
            if i % sixth == 0 or time.monotonic() > due:
                due = time.monotonic() + pause
                gc.collect()
                marks.append((i, tracemalloc.get_traced_memory()[0]))
            episode = await store.open(task, exam.episode_seed(task, i))
            await store.close(episode.handle)
        opened = i + 1
        gc.collect()
        marks.append((opened, tracemalloc.get_traced_memory()[0]))
    finally:
        if started:
            tracemalloc.stop()
    slope = _slope(marks[1:])
    if slope > GROWTH:
        reason = f"every episode leaves {slope:.0f} bytes behind: what does open() keep outside of self?"
        return fail("growth", reason, [(task.id, f"{opened} episodes opened and closed")])
    return ok("growth", f"{opened} episodes opened and closed leave nothing behind")


def _slope(marks: Sequence[tuple[int, int]]) -> float:
    """Bytes an episode of the slower-growing half: a leak grows in both, a cache that fills in one."""
    middle = len(marks) // 2
    halves = (marks[: middle + 1], marks[middle:])
    grown = [(half[-1][1] - half[0][1], half[-1][0] - half[0][0]) for half in halves]
    return min(left / count if left > _STEP else 0.0 for left, count in grown)
