"""Checks of what is declared: tool schemas, task rows, and that neither they nor resources hold the answer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, SchemaError

from gym_mcp.datasets import as_row, explicit_id, parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import EnvironmentFailure, UsageError
from gym_mcp.report_card.card import Check, counted, fail, ok, skip
from gym_mcp.report_card.exam import Exam
from gym_mcp.report_card.play import Trace, perform
from gym_mcp.tools import Tool
from gym_mcp.types import Image, Task, text_of

GOLD_FIELD: Final = re.compile(r"(expected|answer|gold|solution|ground_truth|reference|target)", re.IGNORECASE)
"""Names of data fields that hold answers."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SHORT: Final = 3
"""Characters up to which a text is too common to prove a leak."""


async def schema(exam: Exam) -> Check:
    """Every tool, those that come from data too, can be given to any model API."""
    names = set(exam.cls.tools())
    found = {(tool.name, problem): "" for tool in exam.cls.tools().values() for problem in _tool_problems(tool)}
    for task in exam.sample() if exam.cls.has("tools_for") else ():
        episode = await exam.client.store.open(task, exam.episode_seed(task))
        await exam.client.store.close(episode.handle)
        names |= set(episode.tools)
        for tool in episode.tools.values():
            for problem in _tool_problems(tool):
                found.setdefault((tool.name, problem), task.id)
    problems = [(task_id, f"tool {name}: {problem}") for (name, problem), task_id in found.items()]
    if not exam.cls.summary().strip():
        problems.append(("", "the class has no docstring: its first line is what lists show"))
    if problems:
        return fail("schema", counted(len(problems), "problem"), problems)
    return ok("schema", f"{counted(len(names), 'tool')}: valid, described, portable" if names else "no tools")


def _tool_problems(tool: Tool) -> Iterator[str]:
    form = tool.spec.input_schema
    if not _NAME.fullmatch(tool.name):
        yield "model APIs take names of letters, digits, _ and - only, at most 64"
    if not tool.spec.description.strip():
        yield "no description: write a docstring"
    try:
        Draft202012Validator.check_schema(form)
    except SchemaError as e:
        yield f"not a JSON Schema (draft 2020-12): {e.message}"
        return
    if form.get("type") != "object":
        yield 'model APIs want `"type": "object"` at the top'
    for key in ("anyOf", "oneOf", "allOf", "not", "enum"):
        if key in form:
            yield f"model APIs refuse `{key}` at the top of a schema"
    for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(form)):
        if not reference.startswith("#/"):
            yield f"$ref `{reference}` leads out of the schema"
    for name, argument in form.get("properties", {}).items():
        if "description" in argument and not str(argument["description"]).strip():
            yield f"argument {name} has an empty description"


async def rows(exam: Exam) -> Check:
    """Ids are unique as written, and a row says the same after a trip through JSON."""
    problems: list[tuple[str, str]] = []
    stated = [row.id if isinstance(row, Task) else explicit_id(row) for row in _own_rows(exam)]
    for name, count in Counter(stated).items():
        if name is not None and count > 1:
            problems.append((name, f"this id is used {count} times"))
    for task in exam.tasks:
        try:
            again = parse_task(exam.cls, json.loads(json.dumps(as_row(task))), "")
        except (TypeError, ValueError, UsageError) as e:
            problems.append((task.id, f"does not survive JSON: {e}"))
            continue
        if again.data != task.data or list(again.prompt) != list(task.prompt):
            problems.append((task.id, "reads back differently after JSON"))
    if problems:
        return fail("rows", f"{len(problems)} of {len(exam.tasks)} rows are unsound", problems)
    return ok("rows", f"{len(exam.tasks)} load, ids are unique")


def _own_rows(exam: Exam) -> Iterator[Any]:
    """The class's own rows, where they are the ones examined."""
    ids = {task.id for task in exam.tasks}
    for row in exam.cls.tasks():
        if (row.id if isinstance(row, Task) else explicit_id(row)) in ids:
            yield row


async def no_leak(exam: Exam) -> Check:
    """No task's answer stands in its tool list or resources.

    An answer that every task's tools and resources show tells nothing about the task, and one that the prompt
    holds (an option of a question) is no secret.
    """
    tasks = exam.sample(100)
    views = {task.id: await _view(exam, task) for task in tasks}
    everywhere = list(views.values())
    leaks: list[tuple[str, str]] = []
    answers = 0
    for task in tasks:
        for where, gold in await _golds(exam, task):
            answers += 1
            shown = re.compile(rf"(?<!\w){re.escape(gold)}(?!\w)")
            told = shown.search(views[task.id])
            if told and (len(everywhere) == 1 or not all(shown.search(view) for view in everywhere)):
                leaks.append((task.id, f"{where} {gold!r:.80} stands in: {_around(views[task.id], told)}"))
    if leaks:
        return fail("no_leak", "an agent can read an answer in tools or resources", leaks)
    if not answers:
        fields = "answer, expected..., gold..., reference..., solution, target"
        return skip(
            "no_leak", f"no answer to look for: no text in a field named {fields}, no last word that counts"
        )
    return ok("no_leak", f"tools and resources hold no answer ({counted(answers, 'text')} sought)")


async def _view(exam: Exam, task: Task[Any]) -> str:
    """All text that the agent plane shows before the first call, without the prompt."""
    episode = await exam.client.store.open(task, exam.episode_seed(task))
    try:
        parts = [
            f"{tool.name} {tool.spec.description} {tool.spec.input_schema}" for tool in episode.tools.values()
        ]
        for name, content in _resources(exam, episode.environment).items():
            text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
            parts.append(f"{name} {'' if isinstance(text, Image) else text}")
        return "\n".join(parts)
    finally:
        await exam.client.store.close(episode.handle)


def _resources(exam: Exam, environment: Environment[Any]) -> Mapping[str, str | bytes | Image]:
    try:
        return environment.resources()
    except Exception as e:  # the author's
        raise EnvironmentFailure(f"{exam.cls.name}.resources raised {type(e).__name__}: {e}") from e


async def _golds(exam: Exam, task: Task[Any]) -> list[tuple[str, str]]:
    """(where it is from, text) of the task's answers: data fields named like one, and a last word that counts."""
    data = as_row(task)["data"]
    if exam.cls.has("tools_for") and isinstance(data, dict):
        data = {name: entry for name, entry in data.items() if name != "tools"}  # the agent is shown them
    golds = [("data." + path, text) for path, text in _strings(data, "", False)] if isinstance(data, dict) else []
    if exam.cls.has("solution"):
        trace = await exam.trace(task)
        said = trace.transcript.answer
        if said and await _counts(exam, trace):
            golds.append(("the solution's answer", said))
    prompt = "\n".join(text_of(item) for item in task.prompt)
    names = {*exam.cls.tools(), *(tool["name"] for tool in (await exam.trace(task)).tools)}
    return [(w, t) for w, t in golds if len(t) > _SHORT and t not in prompt and t not in names]


def _strings(value: Any, path: str, inside: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and inside:
        yield path, value.strip()
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            below = f"{path}.{key}" if path else str(key)
            yield from _strings(entry, below, inside or GOLD_FIELD.match(str(key)) is not None)
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            yield from _strings(entry, f"{path}.{i}", inside)


async def _counts(exam: Exam, trace: Trace) -> bool:
    """Whether the reward depends on what is said: a play that says nothing gets another one."""
    script = [action if not isinstance(action, str) else "" for action in trace.script]
    mute = await perform(exam.client, trace.task, exam.episode_seed(trace.task), script)
    return mute.reward.score != trace.reward.score


def _around(text: str, match: re.Match[str]) -> str:
    return repr(text[max(0, match.start() - 40) : match.end() + 20])
