"""What a rollout's row says, in about 2 kB: 100,000 of them fit in memory, their transcripts do not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from gym_mcp.diagnosis.answers import plain, stated
from gym_mcp.types import Item, JSONObject, text_of

MOST_STEPS: Final = 400
LOOP: Final = 3
"""How often the same must come in a row to be a loop."""
_REFUSAL: Final = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)\b.{0,80}"
    r"\b(?:can(?:no|')t|unable|not able|help|assist|comply)"
    r"|i (?:can(?:no|')t|won't|will not|must decline to|am not able to)"
    r" (?:help|assist|comply|provide|do that|answer)"
    r"|as an ai\b.{0,60}\b(?:can(?:no|')t|unable|not able))",
    re.IGNORECASE | re.DOTALL,
)


_NO_TOOLS: Final[frozenset[str]] = frozenset()


@lru_cache(maxsize=10_000)
def _shared(tools: frozenset[str]) -> frozenset[str]:
    """One object for equal sets: a run uses few."""
    return tools


@dataclass(slots=True)
class Facts:
    """One rollout. `steps` are hashes of its events in order; they compare within a process only."""

    task: int
    repeat: int
    id: str
    offset: int
    scored: bool
    passed: bool
    reward: float
    stop: str
    said: str
    declared: bool
    answer: str
    dress_of: str
    steps: tuple[int, ...]
    calls: int = 0
    errors: int = 0
    flags: set[str] = field(default_factory=set)
    failure: str = ""
    tools: frozenset[str] = frozenset()
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    @property
    def failing(self) -> bool:
        return self.scored and not self.passed


def facts_of(row: JSONObject, offset: int, *, full: Any) -> Facts:
    """The facts of a row; `full(reward)` says whether a reward is a full score."""
    items: list[Item] = (row.get("response") or {}).get("output") or []
    ledger: list[JSONObject] = row.get("ledger") or []
    scored = row["outcome"] == "scored"
    said = _said(items)
    given = row.get("answer")
    declared = isinstance(given, str)
    shown = given if isinstance(given, str) else stated(said)
    usage, timing = row.get("usage") or {}, row.get("timing") or {}
    found = Facts(
        task=row["task_index"],
        repeat=row["repeat"],
        id=row["rollout_id"],
        offset=offset,
        scored=scored,
        passed=scored and full(row["reward"]),
        reward=row["reward"] if scored else float("nan"),
        stop=(row.get("response") or {}).get("stop") or "",
        said="" if not said else "text",
        declared=declared,
        answer=plain(shown)[:120],
        dress_of=_tail(said),
        steps=tuple(hash(event) for event in events(items)[:MOST_STEPS]),
        calls=len(ledger),
        errors=sum(1 for entry in ledger if entry["error"] is not None),
        failure="" if scored else row["failure"]["kind"],
        tools=_NO_TOOLS if not ledger else _shared(frozenset(entry["name"] for entry in ledger)),
        tokens=(usage.get("input_tokens") or 0) + (usage.get("output_tokens") or 0),
        cost=usage.get("cost") or 0.0,
        seconds=timing.get("seconds") or 0.0,
    )
    _flag(found, items, ledger, said)
    return found


def _said(items: list[Item]) -> str:
    for item in reversed(items):
        if item.get("role") == "assistant" and item.get("type", "message") == "message":
            text = text_of(item)
            if text.strip():
                return text
    return ""


def _tail(said: str) -> str:
    lines = said.strip("\n").splitlines()
    return lines[-1][-200:] if lines else ""


def events(items: list[Item]) -> list[str]:
    """A transcript as comparable texts, without the ids that a provider gave: says, calls, reads, hears."""
    return [event for item in items if (event := _event(item)) is not None]


def _event(item: Item) -> str | None:
    kind = item.get("type", "message")
    if kind == "message":
        who = "says" if item.get("role") == "assistant" else "hears"
        return f"{who} {text_of(item)}"
    if kind == "function_call":
        return f"calls {item.get('name')} {_canonical(item.get('arguments'))}"
    if kind == "function_call_output":
        output = item.get("output")
        return f"reads {output if isinstance(output, str) else _sorted(output)}"
    return None


def _canonical(arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            return _sorted(orjson.loads(arguments))
        except orjson.JSONDecodeError:
            return f"malformed {arguments}"
    return _sorted(arguments)


def _sorted(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str).decode()


def _flag(found: Facts, items: list[Item], ledger: list[JSONObject], said: str) -> None:
    flags = found.flags
    if not said:
        flags.add("says_nothing")
    elif _REFUSAL.search(said) or any(_refuses(item) for item in items):
        flags.add("refusal")
    if not found.answer:
        flags.add("no_answer")
    kinds = {entry["error"] for entry in ledger}
    flags.update(
        kind for kind in ("arguments", "unknown_tool", "timeout", "exception", "too_large") if kind in kinds
    )
    if ledger:
        calls = [f"{e['name']} {_sorted(e.get('arguments'))}" for e in ledger]
        if _loops(calls):
            flags.add("loop")
        _shown(flags, items, ledger)
        if found.errors == len(ledger):
            flags.add("only_errors")
        if ledger[-1]["error"] is not None:
            flags.add("ends_in_error")
    made = [item for item in items if item.get("type") == "function_call"]
    # What is no JSON object never reaches the environment.
    malformed = sum(1 for item in made if not _canonical(item.get("arguments") or "{}").startswith("{"))
    if malformed:
        flags.add("arguments")
    if len(made) - malformed > len(ledger):
        flags.add("calls_unseen")


def _refuses(item: Item) -> bool:
    content = item.get("content")
    return isinstance(content, list) and any(isinstance(p, dict) and p.get("type") == "refusal" for p in content)


def _loops(calls: list[str]) -> bool:
    """The same call, or the same cycle of up to 4 calls, `LOOP` times in a row or more."""
    for period in range(1, 5):
        run, need = 0, period * (LOOP - 1)
        for before, after in zip(calls, calls[period:], strict=False):
            run = run + 1 if before == after else 0
            if run >= need:
                return True
    return False


def _shown(flags: set[str], items: list[Item], ledger: list[JSONObject]) -> None:
    """Whether what the server answered is what the transcript says that the model read."""
    outputs = [
        output if isinstance(output := item.get("output"), str) else _sorted(output)
        for item in items
        if item.get("type") == "function_call_output"
    ]
    if not outputs:
        flags.add("no_results_in_transcript")
        return
    whole, joined = set(outputs), None
    for entry in ledger:
        result = entry.get("result") or ""
        if result in whole:
            continue
        joined = joined if joined is not None else "\n".join(outputs)
        head = result[:200]
        if head and (head in joined or _sorted(head)[1:-1] in joined):
            continue
        if result or entry["error"] is not None:
            flags.add("result_not_shown" if entry["error"] is None else "error_not_shown")
