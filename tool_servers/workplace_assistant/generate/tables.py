"""Makes the bundled tables: an invented company around one fixed day. The same seed gives the same bytes.

Run `python -m tool_servers.workplace_assistant.generate.tables` to write them anew.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from tool_servers.workplace_assistant.tables import ANALYTICS, COLUMNS, DEFAULT, DIRECTORY, FILES

SEED: Final = 20_250_522
TODAY: Final = date(2025, 5, 22)
"""A Thursday."""
DOMAIN: Final = "larkfield.example"
OWNER: Final = "Robin"
PEOPLE: Final = (
    "amina.yusuf",
    "bruno.keller",
    "celia.marchetti",
    "dag.solberg",
    "esther.okoro",
    "felix.brandt",
    "gita.raman",
    "hana.kimura",
    "ivan.horvat",
    "joana.teixeira",
    "kwame.boateng",
    "laila.haddad",
    "mateo.quispe",
    "nora.lindahl",
    "oskar.wolski",
    "paula.ibarra",
    "quentin.moreau",
    "rosa.castellano",
    "stellan.berg",
    "tomas.novak",
)
SALES: Final = PEOPLE[3:9]
BUILDERS: Final = PEOPLE[6:20]
MEETINGS: Final = (
    "Roadmap review",
    "Hiring round",
    "Release planning",
    "Budget check-in",
    "Customer story hour",
    "Incident retrospective",
    "Design critique",
    "Pricing workshop",
    "Vendor call",
    "Team lunch",
    "Security drill",
    "Onboarding chat",
    "Quarterly forecast",
    "Press briefing",
    "Warehouse visit",
    "Training afternoon",
    "Mentoring hour",
    "Accessibility audit",
)
WORK: Final = {
    "Back end": (
        ("Speed up", "Rewrite", "Add tests for", "Log errors of"),
        ("invoice export", "search index", "login service", "stock importer", "mail queue"),
    ),
    "Front end": (
        ("Polish", "Translate", "Fix layout of", "Add shortcuts to"),
        ("checkout page", "settings dialog", "order history", "start page", "product filter"),
    ),
    "Design": (
        ("Sketch", "Redraw", "Choose colours for", "Prepare mock-up of"),
        ("packing slip", "mobile menu", "gift card", "newsletter header", "empty basket screen"),
    ),
}
LISTS: Final = ("Backlog", "In Progress", "In Review", "Completed")
FIRST: Final = (
    "Abel Bianca Conrad Delia Edgar Fiona Gustav Hedda Isaac Judith Kasper Lydia Magnus Nadine Otto Petra Rafael "
    "Selma Tobias Ursula"
).split()
LAST: Final = "Archer Bauer Colombo Dahl Engel Fontaine Grieg Hofer Innes Jansen".split()
FIRMS: Final = (
    "brightmill",
    "cedarworks",
    "deltapumps",
    "eastquarry",
    "fernlogistics",
    "glasshouse",
    "hillbakery",
)
PRODUCTS: Final = ("Software", "Hardware", "Services", "Consulting", "Training")
STATUSES: Final = ("Qualified", "Won", "Lost", "Lead", "Proposal")
CONTACTS: Final = (
    "Spoke on the phone.",
    "Sent the brochure.",
    "Met at the fair.",
    "Asked for a discount.",
    "No answer.",
)
SOURCES: Final = ("direct", "search engine", "social media", "referral")
GREETINGS: Final = ("Hi", "Hello", "Dear", "Good morning")
CLOSINGS: Final = ("Best", "Thanks", "Kind regards", "See you")
MEETING_NEWS: Final = (
    "could we move the {thing} to another day? Something urgent came up on my side.",
    "I have put together some slides for the {thing}. Have a look when you find a minute.",
    "thank you for setting up the {thing}. I will bring the figures you asked for.",
    "is there a list of topics for the {thing} yet? I would like to add one.",
    "two guests will join us for the {thing}. I hope the room is large enough.",
)
TASK_NEWS: Final = (
    "'{thing}' took longer than I thought, but the hard part is behind me.",
    "I am stuck on '{thing}' because the test system is down. Can you help?",
    "'{thing}' is finished. Please try it out and tell me what you think.",
    "who decides about the open questions in '{thing}'? I would like to go on.",
    "I am going to start on '{thing}' tomorrow unless something else is more urgent.",
)
Cells = dict[str, str]


def address(person: str) -> str:
    return f"{person}@{DOMAIN}"


def first_name(person: str) -> str:
    return person.partition(".")[0].capitalize()


def generate(seed: int = SEED) -> dict[str, str]:
    """File name to content, for all tables."""
    rng = random.Random(seed)
    rows: dict[str, list[Cells]] = {
        "email": list(_emails(rng)),
        "calendar": list(_events(rng)),
        "project_management": list(_tasks(rng)),
        "customer_relationship_manager": list(_customers(rng)),
    }
    for table in rows:
        _number(rng, table, rows[table])
    files = {FILES[table]: _csv(COLUMNS[table], table_rows) for table, table_rows in rows.items()}
    files[ANALYTICS] = _csv(COLUMNS["analytics"], _visits(rng))
    files[DIRECTORY] = "".join(f"{address(person)}\n" for person in PEOPLE)
    return files


def write(folder: Path = DEFAULT) -> None:
    """Write all tables into `folder`."""
    folder.mkdir(exist_ok=True)
    for name, content in generate().items():
        (folder / name).write_text(content, encoding="utf-8", newline="")


def _number(rng: random.Random, table: str, rows: list[Cells]) -> None:
    """Ids in an order that says nothing about the rows."""
    numbers = rng.sample(range(len(rows)), len(rows))
    for row, number in zip(rows, numbers, strict=True):
        row[COLUMNS[table][0]] = f"{number:08}"


def _csv(columns: Sequence[str], rows: Iterable[Cells]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _emails(rng: random.Random, count: int = 500) -> Iterator[Cells]:
    moments = {datetime.combine(TODAY, time(15, 41, 8))}
    while len(moments) < count:
        day = TODAY - timedelta(days=rng.randrange(61))
        moments.add(datetime.combine(day, time(8)) + timedelta(seconds=rng.randrange(8 * 3600)))
    for moment in sorted(moments):
        sender = rng.choice(PEOPLE)
        if rng.random() < 0.5:
            thing = rng.choice(MEETINGS)
            subject, news = f"About the {thing}", rng.choice(MEETING_NEWS)
        else:
            thing = _task_name(rng, rng.choice(list(WORK)))
            subject, news = f"Progress: {thing}", rng.choice(TASK_NEWS)
        body = f"{rng.choice(GREETINGS)} {OWNER},\n\n{news.format(thing=thing)}\n\n"
        yield {
            "inbox/outbox": "inbox",
            "sender/recipient": address(sender),
            "subject": subject,
            "sent_datetime": f"{moment:%Y-%m-%d %H:%M:%S}",
            "body": f"{body}{rng.choice(CLOSINGS)},\n{first_name(sender)}",
        }


def _events(rng: random.Random, count: int = 300) -> Iterator[Cells]:
    """Events on working days from 9 to 18 o'clock that do not overlap."""
    slots = []
    for offset in range(-90, 22):
        day = TODAY + timedelta(days=offset)
        half_hours = 0
        while day.weekday() < 5 and half_hours < 18:
            length = min(rng.choice((1, 2, 3, 4)), 18 - half_hours)
            if rng.random() < 0.6:
                slots.append((datetime.combine(day, time(9)) + timedelta(minutes=30 * half_hours), 30 * length))
            half_hours += length
    for start, minutes in sorted(rng.sample(slots, count)):
        yield {
            "event_name": rng.choice(MEETINGS),
            "participant_email": address(rng.choice(PEOPLE)),
            "event_start": f"{start:%Y-%m-%d %H:%M:%S}",
            "duration": str(minutes),
        }


def _task_name(rng: random.Random, board: str) -> str:
    verbs, things = WORK[board]
    return f"{rng.choice(verbs)} {rng.choice(things)}"


def _tasks(rng: random.Random, count: int = 300) -> Iterator[Cells]:
    boards = [board for board in WORK for _ in range(count // len(WORK))]
    rng.shuffle(boards)
    due = sorted(TODAY + timedelta(days=rng.randrange(-4, 15)) for _ in boards)
    for board, day in zip(boards, due, strict=True):
        yield {
            "task_name": _task_name(rng, board),
            "assigned_to_email": address(rng.choice(BUILDERS)),
            "list_name": rng.choices(LISTS, (6, 2, 2, 2))[0],
            "due_date": day.isoformat(),
            "board": board,
        }


def _customers(rng: random.Random) -> Iterator[Cells]:
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    rng.shuffle(names)
    contacts = sorted((TODAY - timedelta(days=rng.randrange(61)) for _ in names), reverse=True)
    for name, day in zip(names, contacts, strict=True):
        follow_up = day + timedelta(days=rng.randrange(7, 31))
        notes = [
            f"{day - timedelta(days=rng.randrange(30))}: {rng.choice(CONTACTS)}" for _ in range(rng.randrange(4))
        ]
        yield {
            "assigned_to_email": address(rng.choice(SALES)),
            "customer_name": name,
            "customer_email": f"{name.lower().replace(' ', '.')}@{rng.choice(FIRMS)}.example",
            "customer_phone": f"555-{rng.randrange(1000):03}-{rng.randrange(10000):04}"
            if rng.random() < 0.5
            else "",
            "last_contact_date": f"{day} 23:59:00",
            "product_interest": rng.choice(PRODUCTS),
            "status": rng.choice(STATUSES),
            "follow_up_by": f"{follow_up} 23:59:00",
            "notes": " ".join(notes),
        }


def _visits(rng: random.Random, count: int = 1_000) -> Iterator[Cells]:
    for _ in range(count):
        engaged = rng.random() < 0.45
        yield {
            "date_of_visit": (TODAY - timedelta(days=rng.randrange(91))).isoformat(),
            "visitor_id": f"{rng.randrange(10_000):04}",
            "page_views": str(rng.randrange(1, 25 if engaged else 6)),
            "session_duration_seconds": str(rng.randrange(20, 600) if engaged else rng.randrange(40)),
            "traffic_source": rng.choices(SOURCES, (5, 3, 2, 1))[0],
            "user_engaged": str(engaged),
        }


if __name__ == "__main__":
    write()
