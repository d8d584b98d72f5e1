"""What an examination found: checks with a status, a reason and evidence, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from gym_mcp.types import JSONObject

Status = Literal["ok", "fail", "skip"]
MAX_EVIDENCE: Final = 5
_MAX_SEEN: Final = 300
_LABEL: Final = {"ok": "ok", "fail": "FAIL", "skip": "skip"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen, and on which task; an empty task means on the class."""

    task: str
    saw: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `reason` says in a line what held, what did not, or what is missing to check it."""

    name: str
    status: Status
    reason: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds that the environment's own code took in the plays of its tasks; None without any."""

    open_p50: float | None = None
    call_p50: float | None = None
    call_max: float | None = None
    calls: int = 0


@dataclass(slots=True)
class ReportCard:
    """All checks of one environment. `seconds` is how long the examination took."""

    environment: str
    version: str
    seed: int
    num_tasks: int = 0
    checks: list[Check] = field(default_factory=list)
    timing: Timing = field(default_factory=Timing)
    seconds: float = 0.0

    @property
    def failed(self) -> list[Check]:
        """The checks that failed; an environment is sound when there are none."""
        return [check for check in self.checks if check.status == "fail"]

    def as_json(self) -> JSONObject:
        return {"ok": not self.failed, **asdict(self)}


def counted(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def ok(name: str, reason: str) -> Check:
    return Check(name, "ok", reason)


def skip(name: str, reason: str) -> Check:
    return Check(name, "skip", reason)


def fail(name: str, reason: str, evidence: Iterable[tuple[str, str]] = ()) -> Check:
    """A failed check with the first few (task id, what was seen)."""
    shown = [Evidence(task, " ".join(saw.split())[:_MAX_SEEN]) for task, saw in evidence]
    return Check(name, "fail", reason, tuple(shown[:MAX_EVIDENCE]))


def render(card: ReportCard, columns: int | None = None) -> str:
    """The card as text; lines are cut to `columns`."""
    lines = [f"{card.environment}  version {card.version}, {counted(card.num_tasks, 'task')}, seed {card.seed}"]
    wide = max((len(check.name) for check in card.checks), default=0)
    for check in card.checks:
        lines.append(f"  {_LABEL[check.status]:4}  {check.name:{wide}}  {check.reason}")
        for evidence in check.evidence[:1]:
            where = f"task {evidence.task}: " if evidence.task else ""
            lines.append(f"  {'':4}  {'':{wide}}  {where}{evidence.saw}")
    lines.append(f"  {_times(card.timing)}")
    count = {status: sum(check.status == status for check in card.checks) for status in _LABEL}
    lines.append(
        f"  {count['ok']} ok, {count['fail']} failed, {count['skip']} skipped in {card.seconds:.1f} s\n"  # a gap
    )
    return "\n".join(line if not columns or len(line) <= columns else line[: columns - 1] + "…" for line in lines)


def _times(timing: Timing) -> str:
    parts = [] if timing.open_p50 is None else [f"open p50 {timing.open_p50:.3g} ms"]
    if timing.call_p50 is not None and timing.call_max is not None:
        parts.append(f"call p50 {timing.call_p50:.3g} ms, max {timing.call_max:.3g} ms ({timing.calls} calls)")
    return "time: " + (", ".join(parts) or "nothing was played")
