"""Writes `tasks.jsonl`: conversations in which several texts of one kind and topic are to be told apart."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any, Final

from gym_mcp.types import JSONObject

SEED: Final = 20250611
SIZES: Final = (
    (6, 2),
    (6, 3),
    (8, 2),
    (8, 4),
    (10, 2),
    (10, 4),
    (12, 3),
    (16, 4),
    (20, 4),
    (24, 6),
    (32, 8),
    (40, 8),
)
"""(texts in the conversation, how many of them are of the kind asked for) of each task."""
KINDS: Final = ("short poem", "riddle", "diary entry", "weather report", "postcard", "product description")
TOPICS: Final = ("lighthouses", "tea", "trains", "moss", "clocks", "harbours", "bees", "chalk", "bridges", "snow")
_SUBJECTS: Final = (
    "the keeper", "an old kettle", "my neighbour", "a grey gull", "the last passenger", "the night porter",
    "a patient gardener", "the smallest bell", "our postman", "a borrowed coat",
)  # fmt: skip
_VERBS: Final = (
    "counts", "forgets", "mends", "waits for", "whistles at", "draws", "carries", "mistrusts", "greets", "sees",
)  # fmt: skip
_OBJECTS: Final = (
    "the tide", "seven spoons", "a paper map", "the quiet street", "every second stair", "warm bread",
    "the green door", "a broken umbrella", "the morning paper", "two left gloves",
)  # fmt: skip
_ENDINGS: Final = (
    "before the rain", "without a word", "until the lamps are lit", "on the wrong day", "for no reason at all",
    "while the town sleeps", "as if it were spring", "with cold hands", "behind the station", "once more",
)  # fmt: skip


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ... up to 20th."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def write_text(rng: random.Random, kind: str, topic: str) -> str:
    """A few invented sentences."""
    lines = [f"On {topic}, a {kind}:"]
    for _ in range(rng.randint(2, 5)):
        sentence = " ".join(rng.choice(part) for part in (_SUBJECTS, _VERBS, _OBJECTS, _ENDINGS))
        lines.append(sentence[0].upper() + sentence[1:] + ".")
    return "\n".join(lines)


def make_task(rng: random.Random, number: int, texts: int, needles: int) -> JSONObject:
    """One conversation of `texts` requests, `needles` of them for the same kind and topic."""
    kind, topic = rng.choice(KINDS), rng.choice(TOPICS)
    others = [(k, t) for k in KINDS for t in TOPICS if (k, t) != (kind, topic)]
    wanted = [(kind, topic)] * needles + rng.sample(others, texts - needles)
    rng.shuffle(wanted)
    prompt: list[Any] = []
    replies: list[str] = []
    for k, t in wanted:
        reply = write_text(rng, k, t)
        if (k, t) == (kind, topic):
            replies.append(reply)
        prompt.append({"role": "user", "content": f"Write a {k} about {t}."})
        prompt.append({"role": "assistant", "content": reply})
    prefix = "".join(rng.choices(string.ascii_letters + string.digits, k=10))
    which = rng.randint(1, needles)
    question = (
        f"Repeat the {ordinal(which)} {kind} about {topic} from above, word for word. "
        f"Begin your reply with {prefix} and put the text directly after it, with nothing else before or after."
    )
    prompt.append({"role": "user", "content": question})
    data = {
        "expected_answer": prefix + replies[which - 1],
        "random_string_to_prepend": prefix,
        "n_needles": needles,
    }
    return {"id": f"repeat-{number:02d}-{needles}-of-{texts}", "prompt": prompt, "data": data}


def main() -> None:
    """Write the file beside this one."""
    rng = random.Random(SEED)
    with Path(__file__).with_name("tasks.jsonl").open("w", encoding="utf-8") as file:
        for number, (texts, needles) in enumerate(SIZES, 1):
            file.write(json.dumps(make_task(rng, number, texts, needles)) + "\n")


if __name__ == "__main__":
    main()
