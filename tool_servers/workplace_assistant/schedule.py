"""Tools of the calendar."""

from __future__ import annotations

from datetime import datetime, timedelta

from gym_mcp import tool

from .common import Desk, Text, address, given, has, output, page_of, when
from .tables import Row


class CalendarTools(Desk):
    """Find, make, change and delete events."""

    @tool(read_only=True)
    def calendar_get_event_information_by_id(self, event_id: str, field: str) -> str:
        """Read one field of an event.

        Args:
            event_id: The event's 8-digit id.
            field: `event_id`, `event_name`, `participant_email`, `event_start` or `duration`.
        """
        return output(self.world.calendar.value(event_id, field))

    @tool(read_only=True)
    def calendar_search_events(
        self, query: Text = None, time_min: Text = None, time_max: Text = None, page: int = 1, page_size: int = 5
    ) -> str:
        """Find events by words and time, in the order in which they start.

        Args:
            query: Words that the event's name or participant must contain.
            time_min: Only events that end at this time or later, as YYYY-MM-DD HH:MM:SS.
            time_max: Only events that start at this time or earlier, as YYYY-MM-DD HH:MM:SS.
            page: Which page of the results, from 1.
            page_size: How many events are on a page.
        """
        first, last = when(time_min, "time_min"), when(time_max, "time_max")
        words = (query or "").split()
        found = [row for row in self.world.calendar if _matches(row, words) and _between(row, first, last)]
        found.sort(key=lambda row: row["event_start"] or "")
        return page_of("events", found, page, page_size)

    @tool
    def calendar_create_event(
        self, event_name: str, participant_email: str, event_start: str, duration: str
    ) -> str:
        """Put an event on the calendar; the result is its id.

        Args:
            event_name: What the event is called.
            participant_email: Address of the person it is held with.
            event_start: When it starts, as YYYY-MM-DD HH:MM:SS.
            duration: How many minutes it takes.
        """
        given(event_name=event_name, event_start=event_start, duration=duration)
        when(event_start, "event_start")
        cells = {"event_name": event_name, "event_start": event_start, "duration": duration}
        who = address(participant_email, "participant_email")
        return output(self.world.calendar.add({**cells, "participant_email": who}))

    @tool
    def calendar_delete_event(self, event_id: str) -> str:
        """Take an event off the calendar.

        Args:
            event_id: The event's 8-digit id.
        """
        self.world.calendar.delete(event_id)
        return output("Event deleted successfully.")

    @tool
    def calendar_update_event(self, event_id: str, field: str, new_value: str) -> str:
        """Change one field of an event.

        Args:
            event_id: The event's 8-digit id.
            field: `event_name`, `participant_email`, `event_start` or `duration`.
            new_value: What the field shall hold.
        """
        given(new_value=new_value)
        if field == "participant_email":
            new_value = address(new_value, field)
        elif field == "event_start":
            when(new_value, field)
        self.world.calendar.update(event_id, field, new_value)
        return output("Event updated successfully.")


def _matches(row: Row, words: list[str]) -> bool:
    return all(has(row["event_name"], word) or has(row["participant_email"], word) for word in words)


def _between(row: Row, first: datetime | None, last: datetime | None) -> bool:
    if first is None and last is None:
        return True
    start = when(row["event_start"], "event_start")
    if start is None:
        return False
    return (first is None or _end(start, row["duration"] or "") >= first) and (last is None or start <= last)


def _end(start: datetime, minutes: str) -> datetime:
    try:
        return start + timedelta(minutes=int(minutes))
    except (ValueError, OverflowError):
        return start
