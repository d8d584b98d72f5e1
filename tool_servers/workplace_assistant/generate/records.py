"""Errands about project boards and customers, and those that span several domains."""

from __future__ import annotations

import random
from datetime import timedelta

from tool_servers.workplace_assistant.generate.common import (
    CRM,
    Call,
    Errand,
    bundled,
    call,
    choose,
    create_plot,
    last_mail,
    next_event_with,
)
from tool_servers.workplace_assistant.generate.tables import BUILDERS, PEOPLE, SALES, TODAY, address, first_name
from tool_servers.workplace_assistant.tables import Row


def tasks_where(**cells: str) -> list[Row]:
    return [row for row in bundled().writable["project_management"] if all(row[k] == v for k, v in cells.items())]


def update_task(task: Row, field: str, value: str) -> Call:
    name = "project_management_update_task"
    return call(name, task_id=task["task_id"] or "", field=field, new_value=value)


def create_task(rng: random.Random) -> Errand:
    person, board = rng.choice(BUILDERS), rng.choice(("Back end", "Front end", "Design"))
    due = (TODAY + timedelta(days=rng.randrange(3, 20))).isoformat()
    name = rng.choice(("Draw up the wish list", "Measure page load", "Collect old icons"))
    prompt = f"Add '{name}' to {first_name(person)}'s backlog on the {board} board, due on {due}."
    made = {
        "task_name": name,
        "assigned_to_email": address(person),
        "list_name": "Backlog",
        "due_date": due,
        "board": board,
    }
    return prompt, [call("project_management_create_task", **made)]


def finish_reviews(rng: random.Random) -> Errand:
    person = rng.choice(BUILDERS)
    found = tasks_where(assigned_to_email=address(person), list_name="In Review")
    prompt = f"{first_name(person)}'s tasks in review have all been accepted. Move them to Completed."
    return prompt, [update_task(row, "list_name", "Completed") for row in found]


def hand_over_board(rng: random.Random) -> Errand:
    giver, taker = rng.sample(BUILDERS, 2)
    board, which = rng.choice(("Back end", "Front end", "Design")), rng.choice(("Backlog", "In Progress"))
    found = tasks_where(assigned_to_email=address(giver), list_name=which, board=board)
    prompt = (
        f"{first_name(giver)} is on leave. Give {first_name(giver)}'s tasks on the list {which} of the {board} "
        f"board to {first_name(taker)}."
    )
    return prompt, [update_task(row, "assigned_to_email", address(taker)) for row in found]


def drop_completed(rng: random.Random) -> Errand:
    person = rng.choice(BUILDERS)
    found = tasks_where(assigned_to_email=address(person), list_name="Completed")
    calls = [call("project_management_delete_task", task_id=row["task_id"] or "") for row in found]
    return f"Delete all of {first_name(person)}'s completed tasks from the boards.", calls


def extend_overdue(rng: random.Random) -> Errand:
    person, due = rng.choice(BUILDERS), (TODAY + timedelta(days=rng.randrange(5, 9))).isoformat()
    mine = tasks_where(assigned_to_email=address(person))
    late = [r for r in mine if (r["due_date"] or "") < TODAY.isoformat() and r["list_name"] != "Completed"]
    prompt = f"{first_name(person)} gets more time: whatever is overdue and not completed is now due on {due}."
    return prompt, [update_task(row, "due_date", due) for row in late]


def customers_where(**cells: str) -> list[Row]:
    return [row for row in bundled().writable[CRM] if all(row[k] == v for k, v in cells.items())]


def update_customer(customer: Row, field: str, value: str) -> Call:
    return call(f"{CRM}_update_customer", customer_id=customer["customer_id"] or "", field=field, new_value=value)


def add_customer(rng: random.Random) -> Errand:
    person, product = rng.choice(SALES), rng.choice(("Software", "Training", "Services"))
    name = rng.choice(("Ilse Tamm", "Ramon Ortega", "Yvette Lacroix"))
    prompt = (
        f"{name} is a new lead and wants to know about {product.lower()}. Add {name} to the CRM for "
        f"{first_name(person)}."
    )
    made = {
        "customer_name": name,
        "assigned_to_email": address(person),
        "status": "Lead",
        "product_interest": product,
    }
    return prompt, [call(f"{CRM}_add_customer", **made)]


def delete_customer(rng: random.Random) -> Errand:
    customer = choose(rng, CRM)
    prompt = f"{customer['customer_name']} asked us to forget them. Remove their entry from the CRM."
    return prompt, [call(f"{CRM}_delete_customer", customer_id=customer["customer_id"] or "")]


def reassign(rng: random.Random) -> Errand:
    giver, taker = rng.sample(SALES, 2)
    product, status = rng.choice(("Hardware", "Training", "Consulting")), rng.choice(("Lead", "Qualified"))
    found = customers_where(assigned_to_email=address(giver), product_interest=product, status=status)
    prompt = (
        f"From today {first_name(taker)} looks after those of {first_name(giver)}'s customers with status "
        f"{status} who are interested in {product.lower()}. Change it in the CRM."
    )
    return prompt, [update_customer(row, "assigned_to_email", address(taker)) for row in found]


def give_up(rng: random.Random) -> Errand:
    weeks, product = rng.choice((3, 4, 5)), rng.choice(("Software", "Hardware", "Services"))
    until = (TODAY - timedelta(weeks=weeks)).isoformat()
    found = customers_where(status="Proposal", product_interest=product)
    late = [row for row in found if (row["last_contact_date"] or "")[:10] <= until]
    prompt = (
        f"Set all {product.lower()} customers with an open proposal to Lost if our last contact was on {until} or "
        "before."
    )
    return prompt, [update_customer(row, "status", "Lost") for row in late]


def set_follow_up(rng: random.Random) -> Errand:
    customer, day = choose(rng, CRM), (TODAY + timedelta(days=rng.randrange(9, 30))).isoformat()
    prompt = f"{customer['customer_name']} is travelling. Put {day} as the follow-up date in the CRM."
    return prompt, [update_customer(customer, "follow_up_by", day)]


def meet_the_writer(rng: random.Random) -> Errand:
    subject = choose(rng, "email")["subject"] or ""
    latest = max(
        (r for r in bundled().writable["email"] if r["subject"] == subject), key=lambda r: r["sent_datetime"] or ""
    )
    day = TODAY + timedelta(days=rng.choice((1, 4, 5)))
    prompt = (
        f"Book 30 minutes with whoever sent the newest mail '{subject}': {day:%A, %d %B}, 17:30, named 'Questions "
        "by mail'."
    )
    who, start = latest["sender/recipient"] or "", f"{day} 17:30:00"
    made = {"event_name": "Questions by mail", "participant_email": who, "event_start": start, "duration": "30"}
    return prompt, [call("calendar_create_event", **made)]


def cancel_and_tell(rng: random.Random) -> Errand:
    person = rng.choice(PEOPLE)
    event = next_event_with(person)
    text = "I am sorry, something came up. Let us find a new date."
    prompt = (
        f"Cancel my next meeting with {first_name(person)} and send {first_name(person)} a mail with the subject "
        f"'Meeting cancelled' that says '{text}'"
    )
    calls = [call("email_send_email", recipient=address(person), subject="Meeting cancelled", body=text)]
    return prompt, [] if event is None else [
        call("calendar_delete_event", event_id=event["event_id"] or ""),
        *calls,
    ]


def remove_and_tell(rng: random.Random) -> Errand:
    customer = choose(rng, CRM)
    name = customer["customer_name"] or ""
    body = f"{name} has left us."
    prompt = (
        f"Delete {name} from the CRM and let the colleague in charge know by mail: subject 'Customer gone', "
        f"text '{body}'"
    )
    sent = {"recipient": customer["assigned_to_email"] or "", "subject": "Customer gone", "body": body}
    return prompt, [
        call(f"{CRM}_delete_customer", customer_id=customer["customer_id"] or ""),
        call("email_send_email", **sent),
    ]


def mail_to_task(rng: random.Random) -> Errand:
    mail = last_mail(rng)
    sender = (mail["sender/recipient"] or "").partition("@")[0]
    if sender not in BUILDERS:
        return "", []
    due, text = (TODAY + timedelta(days=rng.randrange(2, 9))).isoformat(), "I made a task of it."
    name = f"Settle: {mail['subject']}"
    prompt = (
        f"Answer {first_name(sender)}'s last mail '{mail['subject']}' with '{text}' Then create that task for "
        f"{first_name(sender)}: '{name}', In Progress on the Design board, due {due}."
    )
    made = {"task_name": name, "assigned_to_email": address(sender), "list_name": "In Progress", "due_date": due}
    return prompt, [
        call("email_reply_email", email_id=mail["email_id"] or "", body=text),
        call("project_management_create_task", **made, board="Design"),
    ]


def plot_and_send(rng: random.Random) -> Errand:
    person, days = rng.choice(PEOPLE), rng.choice((10, 20))
    first, last = (TODAY - timedelta(days=days)).isoformat(), TODAY.isoformat()
    made = create_plot(first, last, "total_visits", "line")
    body = f"The plot is plots/{first}_{last}_total_visits_line.png"
    prompt = (
        f"Make a line plot of total visits from {first} to {last} and mail {first_name(person)} where it is: "
        "subject 'Visits', text 'The plot is' followed by a space and the file that the tool names."
    )
    return prompt, [made, call("email_send_email", recipient=address(person), subject="Visits", body=body)]
