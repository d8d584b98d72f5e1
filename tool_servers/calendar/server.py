"""A calendar kept in conversation: the reply lists all events, and every constraint said so far must hold."""

from __future__ import annotations

import json
from typing import Final

from pydantic import BaseModel, ConfigDict, model_validator

from gym_mcp import Environment, Reward, Transcript
from verifiers.extract import graded_text, json_list

from .rules import Window, clock, schedule, violation, window

_THOUGHT: Final = "<think>"
_NO_LIST: Final = "no JSON list with an event in it"


class Event(BaseModel):
    """What one event must keep to. Times are `HH:MM`; `constraint` is in words (`after 2pm`) or null."""

    model_config = ConfigDict(extra="ignore")
    event_id: int
    duration: int
    constraint: str | None = None
    min_time: str = "00:00"
    max_time: str = "24:00"

    @model_validator(mode="after")
    def _readable(self) -> Event:
        self.window()
        return self

    def window(self) -> Window:
        return window(self.duration, self.constraint, self.min_time, self.max_time)


class Row(BaseModel):
    """The events that the calendar must hold, by id; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    exp_cal_state: dict[str, Event]


class Calendar(Environment[Row]):
    """Keep a day's calendar in conversation: all events, no overlaps, every constraint met."""

    domain = "agent"
    tags = ("scheduling", "constraints", "multi-turn-prefix")

    def verify(self, transcript: Transcript) -> Reward:
        windows = self._windows()
        if not windows:
            return Reward(1.0, {}, "no events are expected")
        reply = graded_text(transcript.items, "last_item")
        if _THOUGHT in reply:
            return Reward(0.0, {"listed": 0.0}, f"the reply holds {_THOUGHT}")
        calendar = json_list(reply, "first", of_objects=True)
        if calendar is None:
            return Reward(0.0, {"listed": 0.0}, _NO_LIST)
        wrong = violation(calendar, windows)
        return Reward(float(wrong is None), {"listed": 1.0}, wrong or "all constraints hold")

    def _windows(self) -> dict[str, Window]:
        return {name: event.window() for name, event in self.task.data.exp_cal_state.items()}

    def solution(self) -> str:
        windows = self._windows()
        starts = schedule(windows) or {}
        return json.dumps(
            [
                {
                    "event_id": self.task.data.exp_cal_state[name].event_id,
                    "event_name": f"event {name}",
                    "start_time": clock(start),
                    "duration": windows[name].duration,
                }
                for name, start in starts.items()
            ]
        )
