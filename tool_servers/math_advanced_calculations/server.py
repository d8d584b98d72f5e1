"""A calculator of an alternate universe: its operations are not the usual ones, so only the tools know values."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Generator
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gym_mcp import Call, Environment, Reward, Task, ToolError, Transcript, tool
from gym_mcp.types import text_of

from .universe import UNIVERSE

_PUBLISHED: Final = re.compile(r"values? for (.+) using only the given tools", re.DOTALL)
_OPERATORS: Final = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
_PARAMETERS: Final = {
    "log": ("a", "base"),
    "sin": ("radians",),
    "cos": ("radians",),
    "return_constant": ("a",),
}
Values: TypeAlias = Generator[Call, str, float]


def _numbers(value: Any) -> Any:
    """A list of numbers, from a list or from its JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("neither a list nor the JSON text of one") from None


class Row(BaseModel):
    """The numbers that tools must have returned, and the expressions that give them; other fields are ignored.

    Without expressions, those of the prompt count; without numbers, the values of the expressions.
    """

    model_config = ConfigDict(extra="ignore")
    ground_truth: Annotated[Annotated[list[float], Field(min_length=1)] | None, BeforeValidator(_numbers)] = None
    expressions: list[str] = []


class MathAdvancedCalculations(Environment[Row]):
    """Evaluate nested expressions with the tools of a universe where arithmetic is different."""

    domain = "agent"
    tags = ("tools", "arithmetic", "multi-step")

    def open(self, task: Task[Row]) -> None:
        self.outputs: list[float] = []
        self._wanted = task.data.ground_truth or [_value(tree) for tree in self._trees()]

    def _take(self, name: str, *numbers: float) -> dict[str, float]:
        try:
            value = UNIVERSE[name](*numbers)
        except (ValueError, ZeroDivisionError, OverflowError) as e:
            raise ToolError(f"{name}{numbers} has no value: {e}") from None
        if isinstance(value, complex) or not math.isfinite(value):
            raise ToolError(f"{name}{numbers} has no finite real value")
        self.outputs.append(float(value))
        return {"solution": float(value)}

    @tool
    def add(self, a: float, b: float) -> dict[str, float]:
        """Add two numbers.

        Args:
            a: First summand.
            b: Second summand.
        """
        return self._take("add", a, b)

    @tool
    def subtract(self, a: float, b: float) -> dict[str, float]:
        """Subtract the second number from the first.

        Args:
            a: Number to subtract from.
            b: Number to subtract.
        """
        return self._take("subtract", a, b)

    @tool
    def multiply(self, a: float, b: float) -> dict[str, float]:
        """Multiply two numbers.

        Args:
            a: First factor.
            b: Second factor.
        """
        return self._take("multiply", a, b)

    @tool
    def divide(self, a: float, b: float) -> dict[str, float]:
        """Divide the first number by the second.

        Args:
            a: Numerator.
            b: Denominator.
        """
        return self._take("divide", a, b)

    @tool
    def power(self, a: float, b: float) -> dict[str, float]:
        """Raise the first number to the power of the second.

        Args:
            a: Base.
            b: Exponent.
        """
        return self._take("power", a, b)

    @tool
    def log(self, a: float, base: float) -> dict[str, float]:
        """Take the logarithm of a number. In this universe every base counts as positive.

        Args:
            a: Number to take the logarithm of.
            base: Base of the logarithm.
        """
        return self._take("log", a, base)

    @tool
    def sin(self, radians: float) -> dict[str, float]:
        """Take the sine of an angle.

        Args:
            radians: The angle.
        """
        return self._take("sin", radians)

    @tool
    def cos(self, radians: float) -> dict[str, float]:
        """Take the cosine of an angle.

        Args:
            radians: The angle.
        """
        return self._take("cos", radians)

    @tool
    def pi(self) -> dict[str, float]:
        """The value of pi in this universe."""
        return self._take("pi")

    @tool
    def negate(self, a: float) -> dict[str, float]:
        """Negate a number.

        Args:
            a: Number to negate.
        """
        return self._take("negate", a)

    @tool
    def return_constant(self, a: float) -> dict[str, float]:
        """Give back a number as it is, to answer with a constant.

        Args:
            a: The number.
        """
        return self._take("return_constant", a)

    def verify(self, transcript: Transcript) -> Reward:
        missing = [number for number in self._wanted if number not in self.outputs]
        parts = {"found": 1 - len(missing) / len(self._wanted)}
        note = f"no tool returned {missing[0]!r}" if missing else "tools returned every number"
        return Reward(float(not missing), parts, note)

    def solution(self) -> Generator[Call | str, str, None]:
        for tree in self._trees():
            yield from _evaluate(tree)
        yield "Done."

    def _trees(self) -> list[ast.expr]:
        """The expressions of the row; of a published row, those in its prompt."""
        listed = ", ".join(self.task.data.expressions)
        if not listed:
            said = _PUBLISHED.search("\n".join(text_of(item) for item in self.task.prompt))
            if said is None:
                raise ValueError("neither the row nor the prompt has expressions in a known form")
            listed = re.sub(r",? and ", ", ", said.group(1))
        tree = ast.parse(f"({listed},)", mode="eval").body
        return [_answered(one) for one in tree.elts] if isinstance(tree, ast.Tuple) else []


def _answered(tree: ast.expr) -> ast.expr:
    """A number alone is answered by a tool, too."""
    if not isinstance(tree, ast.Constant):
        return tree
    return ast.Call(ast.Name("return_constant"), [tree], [])


def _value(tree: ast.expr) -> float:
    """The value of an expression, without an agent."""
    steps = _evaluate(tree)
    try:
        call = next(steps)
        while True:
            call = steps.send(json.dumps({"solution": UNIVERSE[call.name](*call.arguments.values())}))
    except StopIteration as end:
        return float(end.value)


def _evaluate(node: ast.expr) -> Values:
    """The tool calls that give the value of an expression; its operands first."""
    match node:
        case ast.Constant():
            return float(str(node.value))
        case ast.UnaryOp(op=ast.USub()):
            return (yield from _call("negate", ("a",), [node.operand]))
        case ast.BinOp():
            return (yield from _call(_OPERATORS[type(node.op)], ("a", "b"), [node.left, node.right]))
        case ast.Call(func=ast.Name(id=name)) if name in _PARAMETERS:
            return (yield from _call(name, _PARAMETERS[name], node.args))
        case ast.Name(id=name):
            return (yield from _call(name, (), []))
        case _:
            raise ValueError(f"not an expression of this universe: {ast.unparse(node)}")


def _call(name: str, parameters: tuple[str, ...], operands: list[ast.expr]) -> Values:
    arguments = {}
    for parameter, operand in zip(parameters, operands, strict=True):
        arguments[parameter] = yield from _evaluate(operand)
    result = yield Call(name, **arguments)
    return float(json.loads(result)["solution"])
