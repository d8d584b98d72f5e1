"""Makes the bundled tasks from the bundled tables. The same seed gives the same bytes.

Run `python -m tool_servers.workplace_assistant.generate.tasks` to write them anew.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tool_servers.workplace_assistant.generate import office, records
from tool_servers.workplace_assistant.generate.common import Call, Errand
from tool_servers.workplace_assistant.generate.tables import TODAY

SEED: Final = 7
MOST: Final = 6
"""Changes that one task may ask for."""
SYSTEM: Final = (
    f"You are the office assistant of Robin. Today is {TODAY:%A}, {TODAY}, and it is 23:59. Do what Robin asks "
    "with the tools, change nothing else, and then say in a sentence what you did. Meetings lie between 9:00 "
    "and 18:00."
)
ERRANDS: Final[dict[str, tuple[Callable[[random.Random], Errand], ...]]] = {
    "email": (
        office.reply_to_last,
        office.delete_newest,
        office.forward_last,
        office.send_mail,
        office.delete_recent,
    ),
    "calendar": (
        office.rename_event,
        office.create_event,
        office.cancel_next,
        office.clear_day,
        office.postpone_last,
        office.shorten,
    ),
    "analytics": (office.plot, office.two_plots, office.plot_if_risen),
    "project_management": (
        records.create_task,
        records.finish_reviews,
        records.hand_over_board,
        records.drop_completed,
        records.extend_overdue,
    ),
    "customer_relationship_manager": (
        records.add_customer,
        records.delete_customer,
        records.reassign,
        records.give_up,
        records.set_follow_up,
    ),
    "multi_domain": (
        records.meet_the_writer,
        records.cancel_and_tell,
        records.remove_and_tell,
        records.mail_to_task,
        records.plot_and_send,
    ),
}


def generate(seed: int = SEED, each: int = 2) -> Iterator[dict[str, Any]]:
    """Rows of `tasks.jsonl`: every errand `each` times, on different rows."""
    for domain, errands in ERRANDS.items():
        for errand in errands:
            rng = random.Random(f"{seed} {errand.__name__}")
            made: dict[str, list[Call]] = {}
            while len(made) < each:
                prompt, calls = errand(rng)
                if 0 < len(calls) <= MOST:
                    made[prompt] = calls
            for number, (prompt, calls) in enumerate(made.items(), 1):
                yield {
                    "id": f"{errand.__name__.replace('_', '-')}-{number}",
                    "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}],
                    "data": {"category": domain, "ground_truth": calls},
                }


def text() -> str:
    """The content of `tasks.jsonl`."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in generate())


if __name__ == "__main__":
    Path(__file__).resolve().parents[1].joinpath("tasks.jsonl").write_text(text(), encoding="utf-8")
