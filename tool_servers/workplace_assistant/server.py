"""An office: e-mail, calendar, website analytics, project boards and customers, scored by their final state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from gym_mcp import Call, Environment, Options, Reward, Task, ToolError, Transcript
from gym_mcp.environment import Step

from .customers import CustomerTools
from .mail import MailTools
from .projects import ProjectTools
from .schedule import CalendarTools
from .tables import DEFAULT, load_tables
from .visits import AnalyticsTools
from .world import World

READERS: Final = {
    "email_id": ("email_get_email_information_by_id", "subject"),
    "event_id": ("calendar_get_event_information_by_id", "event_name"),
    "task_id": ("project_management_get_task_information_by_id", "task_name"),
}
"""Tool and field with which the reference solution looks at what it is about to change."""


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _known(name: str) -> str:
    if name not in WorkplaceAssistant.tools():
        raise ValueError(f"there is no tool `{name}`")
    return name


def _loadable(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    load_tables(folder.resolve())  # its ValueError names the file
    return folder.resolve()


class Reference(BaseModel):
    """One call of the reference: a tool's name and its arguments, as an object or as JSON text."""

    model_config = ConfigDict(extra="ignore")
    name: Annotated[str, AfterValidator(_known)]
    arguments: Annotated[dict[str, Any], BeforeValidator(_parsed)]


class Row(BaseModel):
    """The reference calls; `category` and the other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    ground_truth: list[Reference]
    category: str = ""


class WorkplaceAssistant(MailTools, CalendarTools, AnalyticsTools, ProjectTools, CustomerTools, Environment[Row]):
    """Do an office worker's errands over e-mail, calendar, analytics, project boards and customers."""

    domain = "agent"
    tags = ("tools", "state", "office")

    class Options(Options):
        """`tables`: a directory of CSV tables to play on instead of the bundled ones."""

        tables: Annotated[Path | None, AfterValidator(_loadable)] = None

    def open(self, task: Task[Row]) -> None:
        self.world = self._fresh()

    def _fresh(self) -> World:
        return World(load_tables(self.options.tables or DEFAULT))

    def verify(self, transcript: Transcript) -> Reward:
        differences = self.world.differences(self._reference())
        return Reward(float(not differences), notes=f"differs: {', '.join(differences)}" if differences else "")

    def _reference(self) -> World:
        """The state after the reference calls on fresh tables. Calls that fail are skipped, as the agent's are."""
        other = type(self)()
        other.world = other._fresh()
        tools = self.tools()
        for call in self.task.data.ground_truth:
            tool = tools[call.name]
            try:
                tool.invoke(other, tool.validate(call.arguments))
            except ToolError:
                continue
        return other.world

    def state(self) -> dict[str, Any]:
        return {
            "written": [table.name for table in self.world.parts() if table.written],
            "rows": {table.name: len(table) for table in self.world.parts()},
            "plots": list(self.world.plots),
        }

    def solution(self) -> list[Step]:
        calls = [Call(call.name, **call.arguments) for call in self.task.data.ground_truth]
        looks = list(_look_ups(calls))
        steps: list[Step] = [looks] if looks else []
        return [*steps, *calls, "Done."]


def _look_ups(calls: Sequence[Call]) -> Iterator[Call]:
    for call in calls:
        for key, (reader, field) in READERS.items():
            if key in call.arguments and call.name != reader:
                yield Call(reader, **{key: call.arguments[key], "field": field})
