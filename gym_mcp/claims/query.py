"""The query language of claims: a Python-like expression over a run, parsed and interpreted, never executed.

Functions, each over the rollouts that fit a condition: `rollouts`, `tasks` (with at least one), `share`,
`pass_rate`, `mean`, `total`, `least`, `most`, `median`; and `pass_at`, `pass_hat`, `bucket`, `calls`, `errors`,
`finding`, `before`.
`docs/analysis.md` has the names that conditions know. Bounded: text, nodes, passes over rows.
"""

from __future__ import annotations

import ast
import contextlib
import operator
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import fsum
from statistics import median
from typing import Any, Final, TypeVar

from gym_mcp.analysis.read import dotted
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.finding import Scale
from gym_mcp.diagnosis.scan import Scan
from gym_mcp.errors import UsageError
from gym_mcp.metrics.estimators import pass_at_k, pass_hat_k
from gym_mcp.suggest import did_you_mean

LONGEST: Final = 500
MOST_NODES: Final = 160
MOST_PASSES: Final = 12
LARGEST: Final = 1e300
MOST_KNOWN: Final = 10_000
Value = float | str | bool
Condition = Callable[[Facts], Any]

_BINARY: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FIELDS: Final[dict[str, Callable[[Facts], Any]]] = {
    "scored": lambda f: f.scored,
    "passed": lambda f: f.passed,
    "failed": lambda f: not f.scored,
    "failure": lambda f: f.failure,
    "reward": lambda f: f.reward if f.scored else None,
    "stop": lambda f: f.stop,
    "calls": lambda f: f.calls,
    "errors": lambda f: f.errors,
    "events": lambda f: len(f.steps),
    "tokens": lambda f: f.tokens,
    "cost": lambda f: f.cost,
    "seconds": lambda f: f.seconds,
    "repeat": lambda f: f.repeat,
    "answer": lambda f: f.answer,
    "rollout": lambda f: f.id,
}
"""What a condition knows of a rollout, beside `task`, `bucket`, `data.X`, `used(TOOL)` and `has(FLAG)`."""
FUNCTIONS: Final = (
    "rollouts", "tasks", "share", "pass_rate", "mean", "total", "least", "most", "median", "pass_at", "pass_hat",
    "bucket", "calls", "errors", "finding", "before",
)  # fmt: skip


class QueryError(UsageError):
    """A query that cannot be run: it is malformed, too large, or asks for what there is not."""


class OutOfTime(UsageError):
    """The time that a check may take is spent."""


@dataclass
class Data:
    """A run as queries see it; `before` is the run that it is compared with."""

    scan: Scan
    before: Data | None = None
    findings: dict[str, int] = field(default_factory=dict)
    scale: Scale = field(init=False)
    buckets: list[str] = field(init=False)
    known: dict[str, Value] = field(default_factory=dict)
    """Values of the queries that were run."""
    deadline: float = float("inf")
    """Of the process's CPU time."""
    seconds: float = float("inf")

    def __post_init__(self) -> None:
        self.scale = self.scan.scale
        self.buckets = [
            "missing" if not n else "always" if c == n else "sometimes" if c else "never"
            for n, c in zip(self.scale.scored, self.scale.passed, strict=True)
        ]

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let what is done in it take so much CPU time."""
        runs = [self, *([self.before] if self.before else [])]
        deadline = time.process_time() + seconds
        for run in runs:
            run.deadline, run.seconds = deadline, seconds
        try:
            yield
        finally:
            for run in runs:
                run.deadline = float("inf")

    def tick(self) -> None:
        """`OutOfTime` when that time is spent."""
        if time.process_time() > self.deadline:
            raise OutOfTime(f"the check took more than {self.seconds:g} s of CPU time")


def parse(text: str) -> ast.expr:
    """The expression of a query."""
    if len(text) > LONGEST:
        raise QueryError(f"a query of {len(text)} characters; at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise QueryError(f"`{text}` is no expression") from None
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        raise QueryError(f"`{text[:60]}...` is too large a query")
    return tree.body


def evaluate(text: str, data: Data) -> Value:
    """The value of a query: a number, a text or a truth."""
    if text not in data.known:
        if len(data.known) >= MOST_KNOWN:
            data.known.clear()
        data.known[text] = _Evaluation(data).value(parse(text))
    return data.known[text]


class _Evaluation:
    def __init__(self, data: Data) -> None:
        self.data = data
        self.passes = 0

    def value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
            return _finite(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -_number(self.value(node.operand))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return not self.value(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return _arithmetic(node.op, self.value(node.left), self.value(node.right))
        if isinstance(node, ast.BoolOp):
            values = [bool(self.value(v)) for v in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        if isinstance(node, ast.Compare):
            return _chain(node, self.value)
        if isinstance(node, ast.Name) and node.id in ("true", "false"):
            return node.id == "true"
        if isinstance(node, ast.Call):
            return self._call(node)
        raise QueryError(f"`{ast.unparse(node)}` has no place in a query")

    def _call(self, node: ast.Call) -> Value:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in FUNCTIONS:
            raise QueryError(f"`{name}` is no function of queries{did_you_mean(name, FUNCTIONS)}")
        self.passes += 1
        if self.passes > MOST_PASSES:
            raise QueryError(f"a query that looks at the rows more than {MOST_PASSES} times")
        keywords = {k.arg: k.value for k in node.keywords if k.arg}
        if len(keywords) < len(node.keywords) or not keywords.keys() <= {"where", "of"}:
            raise QueryError(f"`{name}` takes `where=` and `of=` only")
        return getattr(self, f"_{name}")(node.args, keywords)  # type: ignore[no-any-return]

    # -- over rollouts -----------------------------------------------------------------------------------------

    def _fitting(self, node: ast.expr | None, rows: Iterable[Facts] | None = None) -> list[Facts]:
        rows = self.data.scan.present if rows is None else rows
        if node is None:
            return list(rows)
        test = condition(node, self.data)
        found: list[Facts] = []
        for number, f in enumerate(rows):
            if not number % 1_000:
                self.data.tick()
            if test(f):
                found.append(f)
        return found

    def _rollouts(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return len(self._fitting(_optional(args, keywords.get("where"))))

    def _tasks(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        where = _optional(args, keywords.get("where"))
        return len(self.data.scan.tasks) if where is None else len({f.task for f in self._fitting(where)})

    def _share(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        whole = self._fitting(keywords.get("of") or keywords.get("where"))
        return _ratio(len(self._fitting(_one(args), whole)), len(whole))

    def _pass_rate(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        """The mean over tasks of the share of scored rollouts that pass."""
        tasks: dict[int, list[bool]] = {}
        for f in self._fitting(_optional(args, keywords.get("where"))):
            if f.scored:
                tasks.setdefault(f.task, []).append(f.passed)
        return _ratio(fsum(sum(v) / len(v) for v in tasks.values()), len(tasks))

    def _numbers(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> list[float]:
        get = condition(_one(args), self.data)
        values = [get(f) for f in self._fitting(keywords.get("where") or keywords.get("of"))]
        return [_number(v) for v in values if v is not None]

    def _mean(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        values = self._numbers(args, keywords)
        return _ratio(fsum(values), len(values))

    def _total(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return fsum(self._numbers(args, keywords))

    def _least(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return min(_some(self._numbers(args, keywords)))

    def _most(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return max(_some(self._numbers(args, keywords)))

    def _median(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return median(_some(self._numbers(args, keywords)))

    # -- over the run ------------------------------------------------------------------------------------------

    def _pass_at(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return self._curve(args, pass_at_k)

    def _pass_hat(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return self._curve(args, pass_hat_k)

    def _curve(self, args: list[ast.expr], estimator: Callable[[int, int, int], float]) -> Value:
        k, scale = _number(self.value(_one(args))), self.data.scale
        counts = [(n, c) for n, c in zip(scale.scored, scale.passed, strict=True) if n]
        if not isinstance(k, int) or not counts or not 1 <= k <= min(n for n, _ in counts):
            raise QueryError(f"k = {k}: a whole number, and every task needs at least k scored rollouts")
        return fsum(estimator(n, c, k) for n, c in counts) / len(counts)

    def _bucket(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        name = str(self.value(_one(args)))
        if name not in ("always", "sometimes", "never", "missing"):
            raise QueryError(f"bucket {name!r}: always, sometimes, never or missing")
        return self.data.buckets.count(name)

    def _calls(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return sum(self.data.scan.tools[t].calls for t in self._tools(args))

    def _errors(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        return sum(sum(self.data.scan.tools[t].errors.values()) for t in self._tools(args))

    def _tools(self, args: list[ast.expr]) -> list[str]:
        tools = self.data.scan.tools
        if not args:
            return list(tools)
        name = str(self.value(_one(args)))
        return [name] if name in tools else []

    def _finding(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        """The count of a finding, by its id or its kind; 0 when there is none."""
        name = str(self.value(_one(args)))
        found = self.data.findings
        return found[name] if name in found else sum(n for k, n in found.items() if k.split(":")[0] == name)

    def _before(self, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
        if self.data.before is None:
            raise QueryError("`before(...)`: give the earlier run with --run2")
        inner = _Evaluation(self.data.before)
        inner.passes = self.passes
        found = inner.value(_one(args))
        self.passes = inner.passes
        return found


def condition(node: ast.expr, data: Data) -> Condition:
    """A function of a rollout's facts: arithmetic, comparisons, `and`, `or`, `not`, `in` over its fields."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        constant = _finite(node.value)
        return lambda f: constant
    if isinstance(node, ast.Name):
        return _field(node.id, data)
    if isinstance(node, ast.Attribute):
        path = ast.unparse(node)
        if not path.startswith("data."):
            raise QueryError(f"`{path}` is no field; fields of tasks begin with `data.`")
        values = [dotted({"data": t.data}, path) for t in data.scan.tasks]
        if all(v is None for v in values):
            raise QueryError(f"no task has `{path}`")
        return lambda f: values[f.task]
    if isinstance(node, ast.BoolOp):
        parts = [condition(v, data) for v in node.values]
        every = isinstance(node.op, ast.And)
        return lambda f: all(p(f) for p in parts) if every else any(p(f) for p in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        denied = condition(node.operand, data)
        return lambda f: not denied(f)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        size = condition(node.operand, data)
        return lambda f: None if (value := size(f)) is None else -_number(value)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right, op = condition(node.left, data), condition(node.right, data), node.op
        return lambda f: _arithmetic(op, left(f), right(f))
    if isinstance(node, ast.Compare):
        return _comparison(node, data)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _predicate(node.func.id, node.args)
    raise QueryError(f"`{ast.unparse(node)}` has no place in a condition")


def _field(name: str, data: Data) -> Condition:
    if name in ("true", "false"):
        return lambda f: name == "true"
    if name == "task":
        ids = [t.id for t in data.scan.tasks]
        return lambda f: ids[f.task]
    if name == "bucket":
        buckets = data.buckets
        return lambda f: buckets[f.task]
    if name not in FIELDS:
        known = [*FIELDS, "task", "bucket"]
        raise QueryError(f"`{name}` is no field of a rollout{did_you_mean(name, known)}")
    return FIELDS[name]


def _comparison(node: ast.Compare, data: Data) -> Condition:
    terms = [condition(t, data) if not isinstance(t, ast.Tuple | ast.List) else _choice(t) for t in
             (node.left, *node.comparators)]  # fmt: skip
    ops = [type(op) for op in node.ops]
    if not all(op in _COMPARE or op in (ast.In, ast.NotIn) for op in ops):
        raise QueryError(f"`{ast.unparse(node)}`: an unknown comparison")

    def test(f: Facts) -> bool:
        values = [t(f) for t in terms]
        return all(_compare(op, a, b) for op, a, b in zip(ops, values, values[1:], strict=False))

    return test


def _choice(node: ast.Tuple | ast.List) -> Condition:
    if not all(isinstance(e, ast.Constant) for e in node.elts):
        raise QueryError(f"`{ast.unparse(node)}`: only constants can be listed")
    values = tuple(e.value for e in node.elts if isinstance(e, ast.Constant))
    return lambda f: values


def _predicate(name: str, args: list[ast.expr]) -> Condition:
    text = _one(args)
    if name not in ("used", "has") or not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
        raise QueryError(f'`{name}(...)`: a condition knows used("tool") and has("flag")')
    wanted = text.value
    return (lambda f: wanted in f.tools) if name == "used" else (lambda f: wanted in f.flags)


def _chain(node: ast.Compare, value: Callable[[ast.expr], Value]) -> bool:
    values = [value(t) for t in (node.left, *node.comparators)]
    return all(_compare(type(op), a, b) for op, a, b in zip(node.ops, values, values[1:], strict=False))


def _compare(op: type[ast.cmpop], a: Any, b: Any) -> bool:
    if op in (ast.In, ast.NotIn):
        if not isinstance(b, str | tuple | list) or (isinstance(b, str) and not isinstance(a, str)):
            return op is ast.NotIn
        return (a in b) == (op is ast.In)
    if op in (ast.Eq, ast.NotEq):
        return _COMPARE[op](a, b)
    if a is None or b is None:
        return False
    if not any(isinstance(a, kind) and isinstance(b, kind) for kind in (str, int | float)):
        raise QueryError("two numbers or two texts can be compared, nothing else")
    return _COMPARE[op](a, b)


def _arithmetic(op: ast.operator, a: Any, b: Any) -> float:
    try:
        return _finite(_BINARY[type(op)](_number(a), _number(b)))
    except ZeroDivisionError:
        raise QueryError("a division by zero") from None


_Plain = TypeVar("_Plain", float, float | str)


def _finite(value: _Plain) -> _Plain:
    # A whole number may have more digits than any float.
    if not isinstance(value, str) and not -LARGEST <= value <= LARGEST:
        raise QueryError("a number that is too large")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise QueryError(f"{str(value)[:60]!r} is no number")
    return value


def _ratio(part: float, whole: int) -> float:
    if not whole:
        raise QueryError("a share of nothing: no rollout fits")
    return part / whole


def _some(values: list[float]) -> list[float]:
    if not values:
        raise QueryError("no rollout fits")
    return values


def _optional(args: list[ast.expr], where: ast.expr | None) -> ast.expr | None:
    if len(args) + (where is not None) > 1:
        raise QueryError("one condition is expected")
    return args[0] if args else where


def _one(args: list[ast.expr]) -> ast.expr:
    if len(args) != 1:
        raise QueryError("one argument is expected")
    return args[0]
