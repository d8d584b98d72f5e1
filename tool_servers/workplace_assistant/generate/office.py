"""Errands about e-mail, the calendar and the website's analytics."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from tool_servers.workplace_assistant.generate.common import (
    Call,
    Errand,
    bundled,
    call,
    coming,
    create_plot,
    last_mail,
    mails_from,
    name_of,
    next_event_with,
    spoken,
)
from tool_servers.workplace_assistant.generate.tables import PEOPLE, TODAY, address, first_name
from tool_servers.workplace_assistant.tables import Row


def reply_to_last(rng: random.Random) -> Errand:
    mail, text = last_mail(rng), rng.choice(("Understood, I will look at it on Monday.", "Good work, go ahead."))
    prompt = f"Please answer {name_of(mail['sender/recipient'])}'s latest mail '{mail['subject']}' with '{text}'"
    return prompt, [call("email_reply_email", email_id=mail["email_id"] or "", body=text)]


def delete_newest(rng: random.Random) -> Errand:
    person = rng.choice(PEOPLE)
    mail = mails_from(person)[0]
    return (
        f"Delete the most recent mail that {first_name(person)} sent me.",
        [call("email_delete_email", email_id=mail["email_id"] or "")],
    )


def forward_last(rng: random.Random) -> Errand:
    mail = last_mail(rng)
    person = rng.choice([p for p in PEOPLE if address(p) != mail["sender/recipient"]])
    prompt = (
        f"Forward {name_of(mail['sender/recipient'])}'s last mail '{mail['subject']}' to {first_name(person)}."
    )
    return prompt, [call("email_forward_email", email_id=mail["email_id"] or "", recipient=address(person))]


def send_mail(rng: random.Random) -> Errand:
    person = rng.choice(PEOPLE)
    subject, body = rng.choice(
        (
            ("Keys for the archive", "The keys are at the front desk from tomorrow on."),
            ("Lunch on Friday", "Shall we meet at noon in the canteen?"),
            ("Travel receipts", "Please hand in your receipts by the end of the month."),
        )
    )
    prompt = f"Write a mail to {first_name(person)} with the subject '{subject}'. It should say '{body}'"
    return prompt, [call("email_send_email", recipient=address(person), subject=subject, body=body)]


def delete_recent(rng: random.Random) -> Errand:
    person, days = rng.choice(PEOPLE), rng.choice((3, 5, 7))
    since = (TODAY - timedelta(days=days)).isoformat()
    mails = [row for row in mails_from(person) if (row["sent_datetime"] or "") >= since]
    prompt = f"Clear out my inbox a little: everything that {first_name(person)} sent on {since} or later can go."
    return prompt, [call("email_delete_email", email_id=row["email_id"] or "") for row in mails]


def rename_event(rng: random.Random) -> Errand:
    day, events = coming(rng)
    which, event = rng.choice((("first", events[0]), ("last", events[-1])))
    name = rng.choice(("Open questions", "Planning with guests", "Handover"))
    prompt = f"Call the {which} event on {spoken(day)} '{name}' from now on."
    return prompt, [update_event(event, "event_name", name)]


def update_event(event: Row, field: str, value: str) -> Call:
    return call("calendar_update_event", event_id=event["event_id"] or "", field=field, new_value=value)


def create_event(rng: random.Random) -> Errand:
    person, minutes = rng.choice(PEOPLE), rng.choice(("30", "45", "90"))
    day, hour = TODAY + timedelta(days=rng.choice((1, 4, 5, 6))), rng.randrange(9, 16)
    name = rng.choice(("Test plan", "Catch-up", "Sketches for the fair"))
    prompt = f"Set up '{name}' with {first_name(person)} on {day:%A, %d %B} at {hour}:00 for {minutes} minutes."
    start = f"{day} {hour:02}:00:00"
    made = {"event_name": name, "participant_email": address(person), "event_start": start, "duration": minutes}
    return prompt, [call("calendar_create_event", **made)]


def cancel_next(rng: random.Random) -> Errand:
    person = rng.choice(PEOPLE)
    event = next_event_with(person)
    calls = [] if event is None else [call("calendar_delete_event", event_id=event["event_id"] or "")]
    return f"I cannot make my next meeting with {first_name(person)}. Take it off the calendar, please.", calls


def clear_day(rng: random.Random) -> Errand:
    day, events = coming(rng)
    prompt = f"I am away on {spoken(day)}. Cancel all my meetings on that day."
    return prompt, [call("calendar_delete_event", event_id=row["event_id"] or "") for row in events]


def postpone_last(rng: random.Random) -> Errand:
    day, events = coming(rng)
    later = datetime.fromisoformat(events[-1]["event_start"] or "") + timedelta(minutes=30)
    prompt = f"Let the last meeting on {spoken(day)} begin half an hour later than planned."
    if later + timedelta(minutes=int(events[-1]["duration"] or 0)) > later.replace(hour=18, minute=0):
        return prompt, []
    return prompt, [update_event(events[-1], "event_start", f"{later:%Y-%m-%d %H:%M:%S}")]


def shorten(rng: random.Random) -> Errand:
    day, events = coming(rng)
    long = [row for row in events if int(row["duration"] or 0) > 60]
    prompt = (
        f"All my meetings on {spoken(day)} that are planned for more than an hour should take 60 minutes instead."
    )
    return prompt, [update_event(row, "duration", "60") for row in long]


def plot(rng: random.Random) -> Errand:
    first = TODAY - timedelta(days=rng.randrange(20, 60))
    last = first + timedelta(days=rng.randrange(6, 19))
    value, words = rng.choice(
        (
            ("total_visits", "all visits"),
            ("visits_referral", "visits that came by referral"),
            ("session_duration_seconds", "session lengths"),
        )
    )
    kind = rng.choice(("bar", "line", "scatter", "histogram"))
    prompt = f"I need a {kind} plot of {words} on our website from {first} to {last}."
    return prompt, [create_plot(first.isoformat(), last.isoformat(), value, kind)]


def two_plots(rng: random.Random) -> Errand:
    days = rng.choice((7, 14, 30))
    first, last = (TODAY - timedelta(days=days)).isoformat(), TODAY.isoformat()
    prompt = (
        f"Make a line plot of visits from search engines from {first} to {last}, then a bar plot of engaged users "
        "for the same days."
    )
    calls = [
        create_plot(first, last, "visits_search_engine", "line"),
        create_plot(first, last, "user_engaged", "bar"),
    ]
    return prompt, calls


def plot_if_risen(rng: random.Random) -> Errand:
    after = TODAY - timedelta(days=rng.randrange(1, 10))
    before = after - timedelta(days=7)
    source = rng.choice(("direct", "social media"))
    counts = [
        sum(r["date_of_visit"] == str(d) and r["traffic_source"] == source for r in bundled().visits)
        for d in (before, after)
    ]
    prompt = (
        f"Compare our {source} visits on {after} with those on {before}. If there were more on {after}, make a "
        f"bar plot of {source} visits from {before} to {after}; if not, make a line plot of total visits for "
        "these days."
    )
    if counts[1] > counts[0]:
        value, kind = f"visits_{source.replace(' ', '_')}", "bar"
    else:
        value, kind = "total_visits", "line"
    return prompt, [create_plot(str(before), str(after), value, kind)]
