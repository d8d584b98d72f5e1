"""What a rollout's row says, in about 2 kB: 100,000 of them fit in memory, their transcripts do not."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from gym_mcp.diagnosis.answers import plain, stated
from gym_mcp.diagnosis.templates import template
from gym_mcp.types import Item, JSONObject, text_of

MOST_STEPS: Final = 400
LOOP: Final = 3
"""How often the same must come in a row to be a loop."""
_FIRST: Final = 4
"""Calls of a rollout whose results are compared with those of the same calls in its siblings."""
_CANNOT: Final = r"(?:can(?:no|['’])t|won['’]t|will not|unable|not able|must decline|have to decline)"
_REFUSAL: Final = re.compile(
    rf"\b(?:i(?:['’]m| am) (?:(?:very |so |truly )?sorry|unable|not able)\b.{{0,80}}"
    rf"\b(?:{_CANNOT}|help|assist|comply)"
    rf"|(?:i apologi[sz]e|my apologies|unfortunately,? i)\b.{{0,60}}\b{_CANNOT} "
    r"(?:to )?(?:help|assist|comply|do|be|fulfil\w*|with)\b"
    r"|i (?:can(?:no|['’])t|won['’]t|will not|am not able to)"
    r" (?:help|assist|comply|provide|do that|answer|fulfil|engage)"
    r"|i (?:must|have to) (?:respectfully )?decline"
    r"|against (?:my|our|the) (?:guidelines|policy|policies|rules|programming)"
    r"|as an? (?:ai|language model)\b.{0,60}\b(?:can(?:no|['’])t|unable|not able)"
    r"|es tut mir leid.{0,60}\bnicht|(?:kann|darf) (?:dabei |dir |ihnen )?nicht helfen"
    r"|je suis désolé.{0,60}\bpas\b|lo siento.{0,60}\bno\b|mi dispiace.{0,60}\bnon\b"
    r"|desculpe.{0,60}\bnão\b|к сожалению.{0,60}\bне\b|抱歉|申し訳)",
    re.IGNORECASE | re.DOTALL,
)
LIKE_ERROR: Final = re.compile(
    r"\s*(?:\{\s*\"\w+\"\s*:\s*\"|\W{0,3})"
    r"(?:\w*(?:error|exception|fatal)\b\s*(?:[:(\d–-]|occurred)|traceback \("
    r"|http(?:/\d\S*)? ?[45]\d\d\b|[45]\d\d [a-z]\w+(?: [a-z]\w+)*\W*\Z)"
    r"|.{0,40}\b(?:rate limit(?:ed)?|too many requests|service unavailable|temporarily unavailable"
    r"|try again later)\b.{0,80}\Z"
    r"|\s*(?:<(?:!doctype )?html\b.{0,200}\b(?:error|gateway|unavailable|denied|[45]\d\d)\b"
    r"|\{.{0,80}[\"'](?:status|state|result)[\"']\s*:\s*[\"'](?:error|failed|failure)"
    r"|\{.{0,80}[\"'](?:error|exception|errors)[\"']\s*:(?!\s*(?:null|none|false|\"\"|''|\[\]|\{\})))",
    re.IGNORECASE | re.DOTALL,
)
"""A result that reads like an error, though it came as a result."""
_EMPTY: Final = re.compile(
    r"\s*(?:null|none|undefined|nan|\[\s*\]|\{\s*\}|\"\"|''|(?:\{\"\w+\":\s*)(?:null|\"\"|\[\]|\{\})\})?\s*\Z",
    re.IGNORECASE,
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
    note: str = ""
    """The template of what the verifier noted."""
    made: frozenset[int] = frozenset()
    """Hashes of the calls, with their arguments, that may have changed something and did not err."""
    results: array[int] = field(default_factory=lambda: array("q"))
    """Of each of its first calls: hashes of the calls so far, of the result and of the tool's name, and what the
    result is (`RESULTS`)."""
    tools: frozenset[str] = frozenset()
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    @property
    def failing(self) -> bool:
        return self.scored and not self.passed


def facts_of(row: JSONObject, offset: int, *, full: Any, reads: frozenset[str] = _NO_TOOLS) -> Facts:
    """The facts of a row; `full(reward)` says whether a reward is a full score, `reads` which tools only read."""
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
    notes = row.get("notes")
    if notes and scored:
        found.note = template(notes)
    found.made = frozenset(
        hash(_call(entry)) for entry in ledger if entry["error"] is None and entry["name"] not in reads
    )
    _flag(found, items, ledger, said)
    return found


def _call(entry: JSONObject) -> str:
    return f"{entry['name']} {_sorted(entry.get('arguments'))}"


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
        if found.declared and said:
            flags.add("unread_answer")
    if said.count("{") > said.count("}") or said.count("```") % 2:
        flags.add("ends_midway")
    kinds = {entry["error"] for entry in ledger}
    flags.update(
        kind for kind in ("arguments", "unknown_tool", "timeout", "exception", "too_large") if kind in kinds
    )
    if len(said) >= 400 and _babbles(said):
        flags.add("babble")
    if ledger:
        calls = [_call(entry) for entry in ledger]
        if _loops(calls):
            flags.add("loop")
        _keep_results(found, calls, ledger)
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
    elif made and len(ledger) > len(made):
        flags.add("calls_unsaid")


def _babbles(said: str) -> bool:
    """Whether a long text is a few words again and again."""
    words = said[-4000:].split()
    return len(words) >= 60 and len(set(words)) < 0.08 * len(words)


RESULTS: Final = ("text", "empty", "error", "like an error")


def kind_of_result(entry: JSONObject) -> int:
    """Which of `RESULTS` a call ended in."""
    if entry["error"] is not None:
        return 2
    result = str(entry.get("result") or "")
    if len(result) < 40 and _EMPTY.match(result):
        return 1
    return 3 if LIKE_ERROR.match(result[:400]) else 0


def _keep_results(found: Facts, calls: list[str], ledger: list[JSONObject]) -> None:
    so_far = 0
    for call, entry in zip(calls[:_FIRST], ledger[:_FIRST], strict=True):
        so_far = hash((so_far, call))
        result = hash(str(entry.get("result") or ""))
        found.results.extend((so_far, result, hash(entry["name"]), kind_of_result(entry)))


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
