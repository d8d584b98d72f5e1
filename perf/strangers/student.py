"""A harness whose model is a student: the oracle, with plausible mistakes, a style of its own, and faults."""

from __future__ import annotations

import random
import re
from typing import Any

import orjson

from gym_mcp.client import AgentSession
from gym_mcp.errors import ModelError
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model, Request
from gym_mcp.options import Options as BaseOptions
from gym_mcp.toolcalls import output_item, read_arguments
from gym_mcp.types import Item, ToolResult, Transcript, assistant_message, text_of
from perf.strangers.faulty import NEXT, mislabelled

STYLES = ("%s", "Answer: %s", "I worked it out step by step.\n\nAnswer: %s", "So it must be this.\n%s")
SORRY = (
    "I'm sorry, but I can't help with that request.",
    "I apologize, however this is something I am unable to do.",
    "This request goes against my guidelines, so I won't be doing it.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Unfortunately, I must decline.",
)


class Options(BaseOptions):
    """`p`: how often it is right, over tasks between hard and easy. `fault`: what is wrong with it."""

    p: float = 0.7
    fault: str = ""
    share: float = 0.25


class Student:
    """One run's harness."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.begun = 0

    async def run(self, session: AgentSession, model: Model, limits: Limits) -> Transcript:
        self.begun += 1
        return await Rollout(self, session, model).play()


class Rollout:
    def __init__(self, student: Student, session: AgentSession, model: Model) -> None:
        context = model._model.context  # type: ignore[attr-defined]
        self.o, self.session, self.model = student.options, session, model
        self.number = student.begun
        self.task = random.Random(f"{context.task.id}")
        self.rng = random.Random(f"{context.seed} student")
        self.id, self.data, self.repeat = context.task.id, context.task.data, context.repeat
        if self.o.fault == "same_every_time":
            self.rng = random.Random(f"{context.task.id} student")
        ease = self.task.choice((0.25, 0.6, 0.9, 1.0))
        goal = self.o.p
        chance = goal if goal in (0.0, 1.0) else min(1.0, goal * ease / 0.69)
        self.right = self.rng.random() < chance
        self.struck = self.rng.random() < self.o.share
        self.weak = False
        self.style = self.rng.choice(STYLES)
        long = len("".join(map(text_of, session.prompt))) > 310
        if self.o.fault == "weak_on_long" and long:
            self.weak = self.rng.random() < 0.9
        if self.o.fault == "weak_on_one_kind" and _kind(self.data) == "calendar":
            self.weak = self.rng.random() < 0.9
        self.right = self.right and not self.weak
        if self.o.fault == "worse_model" and self.rng.random() < 0.5:
            self.right = False

    async def play(self) -> Transcript:
        transcript, fault = Transcript(), self.o.fault
        conversation = list(self.session.prompt)
        tools = [spec.as_function() for spec in await self.session.list_tools()]
        turn = 0
        while True:
            if fault == "storm" and 20 <= self.number < 32:
                raise ModelError("HTTP 429 after 6 tries: rate limit reached for tokens per minute")
            response = await self.model.respond(Request(conversation, tools, dict(self.session.params)))
            items = [self.changed(item, turn) for item in response.output]
            if fault == "gives_up_late" and turn >= 2 and any("call_id" in i for i in items):
                items = [assistant_message("That is all I will do.")]
            made = next((i for i in items if "call_id" in i), None)
            if fault == "stuck" and self.struck and made is not None:
                items = [{**made, "call_id": f"call_{n}", "id": f"fc_{n}"} for n in range(5)]
            transcript.items += items
            conversation += response.output
            turn += 1
            calls = [i for i in items if i.get("type") == "function_call"]
            stop = self.stop(items)
            if not calls and stop != "completed":
                transcript.stop = stop
                return transcript
            answers: list[Item] = []
            ended = not calls
            if calls:
                for call in calls:
                    answer, over = await self.called(call, calls)
                    answers += answer
                    ended = ended or over
            elif self.session.multi_turn:
                said = "".join(map(text_of, items))
                reply = await self.session.reply(said)
                ended = reply is None
                if reply is not None:
                    answers = [{"role": "user", "content": reply}]
            transcript.items += answers
            conversation += answers
            if ended:
                transcript.stop = "ended" if calls else "completed"
                return transcript

    async def called(self, call: Item, calls: list[Item]) -> tuple[list[Item], bool]:
        fault = self.o.fault
        arguments = read_arguments(call)
        if isinstance(arguments, ToolResult):
            return [output_item(call["call_id"], arguments)], False
        if fault == "sends_texts" and self.struck:
            arguments = {
                key: str(value) if isinstance(value, int) else [value] for key, value in arguments.items()
            }
        if fault == "renames_tools" and self.struck:
            call = {**call, "name": call["name"].replace("_", "-")}
        if fault == "drops_last_call" and self.struck and len(arguments) > 1:
            return [], False
        if fault == "swallows_calls" and self.struck and call is calls[-1]:
            return [output_item(call["call_id"], ToolResult("OK"))], False
        result = await self.session.call(call["name"], arguments)
        if fault == "asks_again" and result.is_error:
            result = await self.session.call(call["name"], arguments)
        if fault == "calls_twice" and self.struck:
            result = await self.session.call(call["name"], arguments)
        item = output_item(call["call_id"], result)
        if fault == "hides_errors" and result.is_error:
            item = {**item, "output": ""}
        if fault == "softens_errors" and result.is_error:
            item = {**item, "output": "The tool has run."}
        if fault == "cuts_results" and isinstance(item["output"], str):
            item = {**item, "output": item["output"][:20]}
        if fault == "mixes_results" and self.struck:
            item = {**item, "output": "Nothing was found."}
        return [item], result.ended

    def changed(self, item: Item, turn: int) -> Item:
        """What this model says in the place of the oracle."""
        fault = self.o.fault
        if item.get("type") == "function_call":
            return self.call(item)
        text = text_of(item)
        if not text:
            return item
        if fault == "knows_better" and mislabelled(self.id):
            back = {key: true for true, key in NEXT.items()}
            text = re.sub(r"boxed\{([A-D])\}", lambda m: f"boxed{{{back[m[1]]}}}", text)
        if not self.right:
            text = wrong(text, self.task, self.rng)
        if "\n" not in text and len(text) < 120 and not text.startswith(("[", "{")):
            text = self.style % text.removeprefix("Answer: ") if "\\boxed" in text else text
        if not self.struck:
            pass
        elif fault == "says_nothing":
            text = ""
        elif fault == "refuses":
            text = self.rng.choice(SORRY)
        elif fault == "cut":
            text = text[: len(text) // 3]
        elif fault == "ends_early":
            text = text[: len(text) // 2]
        elif fault == "says_the_options":
            text = "A, B, C or D"
        elif fault == "babble":
            text = "the the " * 200
        elif fault == "lower_case":
            text = re.sub(r"boxed\{([A-Z])\}", lambda m: "boxed{" + m[1].lower() + "}", text)
        elif fault == "unit":
            text = re.sub(r"boxed\{(-?[\d.]+)\}", r"boxed{\1 \\text{ cm}}", text)
        elif fault == "comma":
            text = re.sub(r"boxed\{(\d+)(\d{3})\}", r"boxed{\1,\2}", text)
        elif fault == "brackets":
            text = re.sub(r"boxed\{([A-Z])\}", r"boxed{(\1)}", text)
        if fault == "always_a":
            text = "Answer: \\boxed{A}"
        return {**item, "content": assistant_message(text)["content"]}

    def call(self, item: Item) -> Item:
        arguments = orjson.loads(item["arguments"])
        writes = len(arguments) > 1
        if (
            not self.right
            and arguments
            and (writes or self.weak)
            and self.rng.random() < (1.0 if self.weak else 0.7)
        ):
            key = self.rng.choice(sorted(arguments))
            if isinstance(arguments[key], str):
                arguments[key] = arguments[key][:-1] + self.rng.choice("0123456789")
        if self.o.fault == "bad_arguments" and self.struck and arguments:
            del arguments[min(arguments)]
        return {**item, "arguments": orjson.dumps(arguments).decode()}

    def stop(self, items: list[Item]) -> str:
        cut = self.o.fault == "cut" and self.struck
        return "max_output_tokens" if cut else "completed"


def _kind(data: Any) -> str:
    return str(data.get("category") if isinstance(data, dict) else getattr(data, "category", ""))


def wrong(text: str, task: random.Random, rng: random.Random) -> str:
    """A mistake that fits the question; half of a task's mistakes are the same one."""
    usual = task.randrange(3)
    at = usual if rng.random() < 0.5 else rng.randrange(3)

    def letter(m: re.Match[str]) -> str:
        return m[1] + [c for c in "ABCD" if c != m[2]][at] + m[3]

    changed = re.sub(r"(boxed\{)([A-Z])(\})", letter, text)
    if changed == text:
        changed = re.sub(r"(\d+)(?!.*\d)", lambda m: str(int(m[1]) + 1 + at), text, count=1, flags=re.DOTALL)
    if changed == text:
        return ("I could not find it.", "Done as asked.", "This is not possible.")[at]
    return changed


def create(options: Options) -> Student:
    return Student(options)
