"""A claim's query run again, a citation looked up: does the evidence hold, and what does it say?"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Final

import orjson

from gym_mcp.claims.numerals import limit, rounds_to
from gym_mcp.claims.query import Data, OutOfTime, Value, evaluate, parse
from gym_mcp.claims.syntax import Citation, Claim
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.scan import row_at
from gym_mcp.errors import UsageError
from gym_mcp.types import Item, JSONObject, text_of

_DENYING: Final = re.compile(r"^no_|_not_|^not_|never|missing|nothing|without|unseen|unknown")
_VALUE: Final = re.compile(r"([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)\s*(%|points)?")


@dataclass(slots=True)
class Stated:
    """The value that a claim states."""

    value: Value
    percent: bool = False
    decimals: int = 0
    points: bool = False


@dataclass(slots=True)
class Shown:
    """A claim that was run: what it gave, and how its query is built."""

    claim: Claim
    stated: Stated
    actual: Value
    names: list[str] = field(default_factory=list)
    """Texts in the query in order: tools, tasks, categories, kinds."""
    bounds: list[float] = field(default_factory=list)
    """Numbers that the query compares with."""
    limits: list[tuple[str, float]] = field(default_factory=list)
    """The same with the way that it compares, as `numerals.limit` gives it."""
    outcomes: list[bool] = field(default_factory=list)
    """What of passing and not passing it asks for, in order, each once."""
    measures: set[str] = field(default_factory=set)
    """What it counts or sums; empty where that cannot be told."""
    aggregates: set[str] = field(default_factory=set)
    outcome: bool | None = None
    """True: it counts what passed; False: what did not. None: neither."""
    among: bool = False
    """Whether passing is one of several conditions."""
    negatives: int = 0
    """How often the query denies, a result of nothing included."""
    tries: list[int] = field(default_factory=list)
    """The k of each pass@k."""
    direction: int = 0
    """1: it states that the first is more than the second; -1: less."""


def run_claim(claim: Claim, data: Data) -> tuple[Shown | None, str]:
    """The claim as run, and what is wrong with it: an empty text when it is true."""
    stated = _stated(claim.value)
    if stated is None:
        return None, f'`{claim.value}` is no value: a number, a percentage, true, false or a "text"'
    try:
        tree, actual = parse(claim.query), evaluate(claim.query, data)
    except OutOfTime:
        raise
    except UsageError as e:
        return None, str(e)
    shown = _described(claim, stated, actual, tree)
    return shown, "" if _equal(stated, actual) else f"the query gives {_show(actual, stated)}, not {claim.value}"


def _stated(text: str) -> Stated | None:
    if text in ("true", "false"):
        return Stated(text == "true")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return Stated(text[1:-1])
    match = _VALUE.fullmatch(text)
    if match is None:
        return None
    digits = match.group(1).replace(",", "")
    decimals = len(digits.split(".")[1]) if "." in digits and "e" not in digits else 0
    percent = match.group(2) is not None
    return Stated(float(digits) / (100 if percent else 1), percent, decimals, match.group(2) == "points")


def _equal(stated: Stated, actual: Value) -> bool:
    if isinstance(stated.value, bool | str) or isinstance(actual, bool | str):
        return type(stated.value) is type(actual) and stated.value == actual
    step = 10.0**-stated.decimals / (100 if stated.percent else 1)
    whole = float(actual).is_integer() and not stated.percent and stated.decimals == 0
    return abs(stated.value - actual) <= 1e-9 if whole else rounds_to(stated.value, actual, step)


def _show(actual: Value, stated: Stated) -> str:
    if isinstance(actual, str):
        return repr(actual)
    if isinstance(actual, bool):
        return str(actual).lower()
    return f"{100 * actual:.4g}%" if stated.percent else f"{actual:.6g}"


def _described(claim: Claim, stated: Stated, actual: Value, tree: ast.expr) -> Shown:
    shown = Shown(claim, stated, actual)
    _walk(tree, shown, True)
    if not isinstance(actual, str) and actual == 0:
        shown.negatives += 1
    shown.direction = _direction(tree, actual)
    return shown


def _walk(node: ast.AST, shown: Shown, positive: bool) -> None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        shown.negatives += 1
        _walk(node.operand, shown, not positive)
        return
    if isinstance(node, ast.Name) and node.id in ("passed", "failed"):
        shown.outcome = positive if node.id == "passed" else not positive
        shown.outcomes += [shown.outcome] if shown.outcome not in shown.outcomes else []
        shown.negatives += node.id == "failed"
    elif isinstance(node, ast.Name) and node.id == "failure":
        shown.outcome = False if shown.outcome is None else shown.outcome
        shown.negatives += 1
    elif (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("pass_at", "pass_hat")
    ):
        shown.outcome = positive if shown.outcome is None else shown.outcome
        shown.tries += [
            int(a.value) for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, int)
        ]
    if isinstance(node, ast.BoolOp) and any(isinstance(n, ast.Name) and n.id == "passed" for n in ast.walk(node)):
        shown.among = True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "pass_rate" and shown.outcome is None:
            shown.outcome = True
        _measured(node, node.func.id, shown)
    if isinstance(node, ast.Compare):
        _compared(node, shown, positive)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        shown.names.append(node.value)
        if node.value in ("always", "never"):
            shown.outcome = node.value == "always"
        shown.negatives += bool(_DENYING.search(node.value))
    for child in ast.iter_child_nodes(node):
        _walk(child, shown, positive)


_COUNTS: Final = {"rollouts": "rollout", "tasks": "task", "bucket": "task", "calls": "call", "errors": "error"}
_SUMMARIES: Final = ("mean", "most", "least", "median", "total")
_FIELDS: Final = {"calls": "call", "errors": "error", "cost": "cost", "tokens": "tokens", "seconds": "seconds"}


def _measured(node: ast.Call, name: str, shown: Shown) -> None:
    if name in _COUNTS:
        shown.measures.add(_COUNTS[name])
    elif name in _SUMMARIES:
        shown.aggregates.add(name)
        inner = [n.id for a in node.args for n in ast.walk(a) if isinstance(n, ast.Name)]
        shown.measures |= {_FIELDS[n] for n in inner if n in _FIELDS}


_OPS: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Gt: (">", "<="), ast.GtE: (">=", "<"), ast.Lt: ("<", ">="), ast.LtE: ("<=", ">"), ast.Eq: ("==", "!="),
}  # fmt: skip
_TURNED: Final = {">": "<", ">=": "<=", "<": ">", "<=": ">="}


def _compared(node: ast.Compare, shown: Shown, positive: bool) -> None:
    if isinstance(node.left, ast.Constant) and isinstance(node.left.value, int | float):
        sense = _OPS.get(type(node.ops[0]), ("", ""))[not positive]
        shown.bounds.append(float(node.left.value))
        shown.limits.append(limit(_TURNED.get(sense, sense), float(node.left.value)))
    for op, term in zip(node.ops, node.comparators, strict=True):
        if isinstance(term, ast.Constant) and isinstance(term.value, int | float):
            shown.bounds.append(float(term.value))
            shown.limits.append(limit(_OPS.get(type(op), ("", ""))[not positive], float(term.value)))
            nothing = term.value == 0 and isinstance(op, ast.Eq | ast.LtE)
            counted = isinstance(node.left, ast.Name) and node.left.id in ("calls", "errors", "events")
            shown.negatives += nothing or (counted and term.value == 1 and isinstance(op, ast.Lt))
        shown.negatives += isinstance(op, ast.NotEq | ast.NotIn)
        if isinstance(term, ast.Constant) and term.value == "":
            shown.negatives += isinstance(op, ast.Eq)


def _direction(tree: ast.expr, actual: Value) -> int:
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(actual, bool):
        sign = {ast.Gt: 1, ast.GtE: 1, ast.Lt: -1, ast.LtE: -1}.get(type(tree.ops[0]), 0)
        return sign if actual else -sign
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Sub) and isinstance(actual, int | float):
        flipped = ast.unparse(tree.left).startswith("before(")
        return (0 if actual == 0 else 1 if actual > 0 else -1) * (-1 if flipped else 1)
    return 0


def check_citation(citation: Citation, data: Data) -> tuple[Facts | None, str]:
    """The rollout that is cited, and what is wrong: an empty text when the quotation stands where it says."""
    owner = data.scan
    facts = owner.find(citation.rollout)
    if facts is None and data.before is not None:
        owner = data.before.scan
        facts = owner.find(citation.rollout)
    if facts is None:
        return None, f"no rollout `{citation.rollout}`"
    row = row_at(owner.run.directory.rollouts_path, facts.offset)
    text = place_of(row, owner.tasks[facts.task].prompt, citation.place)
    if text is None:
        return facts, f"`{citation.rollout}` has no `{citation.place}`"
    if _flat(citation.quoted) not in _flat(text):
        return facts, f"`{citation.place}` of `{citation.rollout}` does not hold that quotation"
    return facts, ""


def _flat(text: str) -> str:
    return " ".join(text.split())


def place_of(row: JSONObject, prompt: str, place: str) -> str | None:
    """`notes`, `failure`, `answer`, `stop`, `prompt`, `output`, `output:N`, `ledger` or `ledger:N`, as text."""
    name, _, at = place.partition(":")
    if at and not re.fullmatch("[0-9]{1,9}", at):
        return None
    if name == "prompt":
        return prompt
    if name == "failure":
        return str(row["failure"]["message"]) if row.get("failure") else None
    if name in ("notes", "answer"):
        return row.get(name)
    if name == "stop":
        return (row.get("response") or {}).get("stop")
    if name not in ("output", "ledger"):
        return None
    parts = [_item(i) for i in (row.get("response") or {}).get("output") or ()]
    if name == "ledger":
        parts = [f"{e['name']} {_json(e.get('arguments'))} {e.get('error') or ''} {e.get('result') or ''}" for e in
                 row.get("ledger") or ()]  # fmt: skip
    if not at:
        return "\n".join(parts)
    return parts[int(at)] if int(at) < len(parts) else None


def _item(item: Item) -> str:
    if item.get("type") == "function_call":
        return f"{item.get('name')} {item.get('arguments')}"
    if item.get("type") == "function_call_output":
        output = item.get("output")
        return output if isinstance(output, str) else _json(output)
    return text_of(item)


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode()
