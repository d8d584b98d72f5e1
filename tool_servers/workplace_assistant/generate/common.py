"""What all errands need: how a call is written, and look-ups in the bundled tables."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any, Final

from tool_servers.workplace_assistant.generate.tables import TODAY, address, first_name
from tool_servers.workplace_assistant.tables import DEFAULT, Row, Tables, load_tables

Call = dict[str, Any]
Errand = tuple[str, list[Call]]
"""What Robin asks for, and the calls that do it. No calls: this draw does not make a task."""
CRM: Final = "customer_relationship_manager"


def bundled() -> Tables:
    """The tables that tasks are made from; parsed once."""
    return load_tables(DEFAULT)


def call(name: str, **arguments: str) -> Call:
    return {"name": name, "arguments": arguments}


def choose(rng: random.Random, table: str) -> Row:
    return rng.choice(bundled().writable[table])


def name_of(cell: str | None) -> str:
    """How people speak of the owner of an address."""
    return first_name((cell or "").partition("@")[0])


def mails_from(person: str) -> list[Row]:
    """All mail of one person, the newest first."""
    mine = [row for row in bundled().writable["email"] if row["sender/recipient"] == address(person)]
    return sorted(mine, key=lambda row: row["sent_datetime"] or "", reverse=True)


def last_mail(rng: random.Random) -> Row:
    """The newest of one sender's mails under one subject."""
    some = choose(rng, "email")
    sender = (some["sender/recipient"] or "").partition("@")[0]
    return next(row for row in mails_from(sender) if row["subject"] == some["subject"])


def coming(rng: random.Random) -> tuple[str, list[Row]]:
    """A day to come, and its events in order."""
    days: dict[str, list[Row]] = {}
    for row in bundled().writable["calendar"]:
        day = (row["event_start"] or "")[:10]
        if day > TODAY.isoformat():
            days.setdefault(day, []).append(row)
    return rng.choice([(day, rows) for day, rows in days.items() if len(rows) > 1])


def spoken(day: str) -> str:
    return f"{datetime.fromisoformat(day):%A, %d %B}"


def next_event_with(person: str) -> Row | None:
    return next(
        (
            row
            for row in bundled().writable["calendar"]
            if row["participant_email"] == address(person) and (row["event_start"] or "") > f"{TODAY} 23:59"
        ),
        None,
    )


def create_plot(first: str, last: str, value: str, kind: str) -> Call:
    return call("analytics_create_plot", time_min=first, time_max=last, value_to_plot=value, plot_type=kind)
