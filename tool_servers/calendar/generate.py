"""Writes `tasks.jsonl`: conversations that add events to a day and constrain them, up to the last request."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Final

from gym_mcp.types import JSONObject
from tool_servers.calendar.rules import Window, clock, schedule, window

SEED: Final = 20250613
SIZES: Final = (1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7, 7)
"""Events of each task."""
OPEN, CLOSE = "10:00", "16:00"
TITLES: Final = (
    "Kiln loading", "Choir rehearsal", "Greenhouse inspection", "Budget reading", "Bicycle repair class",
    "Call with the printer", "Map room cleaning", "Archive visit", "Soup kitchen shift", "Glaze testing",
    "Volunteer interview", "Sound check", "Seed swap planning", "Roof survey", "Newsletter proofs",
)  # fmt: skip
CHATTER: Final = (
    "Thanks, that works. The rain has finally stopped here, by the way.",
    "Good. I still need to find my glasses before any of this.",
    "Perfect. Remind me never to agree to two deadlines in a week again.",
    "Great. My colleague says hello and wants to know whether you like plums.",
)
RULES: Final = f"""\
You keep the user's calendar for one day. It is empty when the conversation begins.

- Every reply shows the whole calendar as a JSON list, one object an event, with the keys "event_id" (integer),
  "event_name" (string), "start_time" (string, 24-hour HH:MM) and "duration" (integer, minutes).
- All events lie between {OPEN} and {CLOSE}, and no two overlap; one may start when another ends.
- What the user says about an event's time holds from then on. "Before 1pm" means that it ends by 1pm, "after 1pm"
  that it starts at 1pm or later.
- Move other events when that is needed to keep all of this, without asking."""


def spoken(minute: int) -> str:
    """`1:45pm` of minutes after midnight."""
    hour, rest = divmod(minute, 60)
    return f"{(hour - 1) % 12 + 1}{f':{rest:02d}' if rest else ''}{'pm' if hour >= 12 else 'am'}"


def constraint(rng: random.Random, start: int, duration: int) -> str | None:
    """A constraint that an event at `start` meets."""
    slack = 15 * rng.randint(0, 6)
    end = start + duration
    match rng.choice(("before", "after", "between", "at", None)):
        case "before":
            return f"before {spoken(min(end + slack, 16 * 60))}"
        case "after":
            return f"after {spoken(max(start - slack, 10 * 60))}"
        case "between":
            return (
                f"between {spoken(max(start - slack, 600))} and {spoken(min(end + 15 * rng.randint(0, 6), 960))}"
            )
        case "at":
            return f"at {spoken(start)}"
        case _:
            return None


def make_events(rng: random.Random, count: int) -> list[JSONObject]:
    """Events with constraints that one hidden calendar meets, in the order in which they come up."""
    while True:
        durations = [rng.choice((30, 30, 45, 60, 75, 90)) for _ in range(count)]
        free = (360 - sum(durations)) // 15
        if free >= 0:
            break
    cuts = sorted(rng.randint(0, free) for _ in range(count))
    events, used = [], 0
    for duration, cut in zip(durations, cuts, strict=True):
        start = 600 + 15 * cut + used
        used += duration
        events.append({"duration": duration, "constraint": constraint(rng, start, duration)})
    rng.shuffle(events)
    return [{"event_id": i, **event, "min_time": OPEN, "max_time": CLOSE} for i, event in enumerate(events)]


def listing(titles: list[str], windows: dict[str, Window]) -> str:
    """A calendar that keeps to `windows`, as a reply shows it."""
    starts = schedule(windows)
    assert starts is not None
    return json.dumps(
        [
            {
                "event_id": int(name),
                "event_name": titles[int(name)],
                "start_time": clock(start),
                "duration": windows[name].duration,
            }
            for name, start in starts.items()
        ]
    )


def make_task(rng: random.Random, number: int, count: int) -> JSONObject:
    """The conversation up to the last thing that the user says."""
    events, titles = make_events(rng, count), rng.sample(TITLES, count)
    turns: list[Any] = [{"role": "system", "content": RULES}]
    windows: dict[str, Window] = {}

    def says(text: str) -> None:
        if len(turns) > 1:
            turns.append({"role": "assistant", "content": listing(titles, windows)})
        turns.append({"role": "user", "content": text})

    for event in events:
        name, duration = str(event["event_id"]), event["duration"]
        says(f"Please add {titles[event['event_id']]} (event id {name}), {duration} minutes.")
        windows[name] = window(duration, None, OPEN, CLOSE)
        if event["constraint"] is not None:
            says(f"{titles[event['event_id']]} (event id {name}) has to be {event['constraint']}.")
            windows[name] = window(duration, event["constraint"], OPEN, CLOSE)
        elif rng.random() < 0.5:
            says(rng.choice(CHATTER))
    state = {str(event["event_id"]): event for event in events}
    return {"id": f"day-{number:02d}-{count}-events", "prompt": turns, "data": {"exp_cal_state": state}}


def main() -> None:
    """Write the file beside this one."""
    rng = random.Random(SEED)
    with Path(__file__).with_name("tasks.jsonl").open("w", encoding="utf-8") as file:
        for number, count in enumerate(SIZES, 1):
            file.write(json.dumps(make_task(rng, number, count)) + "\n")


if __name__ == "__main__":
    main()
