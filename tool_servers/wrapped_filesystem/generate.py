"""Writes the tasks: `python -m tool_servers.wrapped_filesystem.generate > FILE.jsonl`."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

SEED: Final = 20_261_125
EACH: Final = 4
WORDS: Final = tuple(
    "amber birch cedar delta ember fjord grove heron indigo juniper kelp larch maple onyx pearl".split()
)
SETTINGS: Final = ("retries", "timeout", "workers", "port", "depth", "batch")
ABOUT: Final = "You work in the directory /workdir with the tools that you have. "
Errand = tuple[str, dict[str, str], dict[str, str | None]]
"""The request, the files at first, and what is expected of some paths at the end."""


def setting(rng: random.Random) -> Errand:
    """Change one value in one of several configuration files."""
    names = rng.sample(WORDS, 3)
    keys = rng.sample(SETTINGS, 4)
    values = {name: {key: rng.randint(1, 99) for key in keys} for name in names}
    files = {f"config/{n}.ini": "".join(f"{k} = {v}\n" for k, v in values[n].items()) for n in names}
    name, key = rng.choice(names), rng.choice(keys)
    new = values[name][key] + rng.randint(100, 200)
    changed = "".join(f"{k} = {new if k == key else v}\n" for k, v in values[name].items())
    text = f"Set `{key}` to {new} in config/{name}.ini and change nothing else."
    return text, files, {f"config/{name}.ini": changed}


def archive(rng: random.Random) -> Errand:
    """Move the files of one ending into another folder."""
    names = rng.sample(WORDS, 6)
    endings = ["log", "log", "txt", "md", *rng.sample(["log", "txt"], 2)]
    files = {f"inbox/{n}.{e}": f"{n} {rng.randint(100, 999)}\n" for n, e in zip(names, endings, strict=True)}
    expected: dict[str, str | None] = {}
    for path, text in files.items():
        if path.endswith(".log"):
            expected[path] = None
            expected[path.replace("inbox/", "archive/")] = text
    return "Move every .log file from inbox/ to archive/, under the same name. Leave the rest.", files, expected


def total(rng: random.Random) -> Errand:
    """Add up numbers that are spread over files."""
    names = rng.sample(WORDS, 4)
    items = {n: [(rng.choice(WORDS), rng.randint(1, 50)) for _ in range(rng.randint(2, 4))] for n in names}
    files = {f"orders/{n}.csv": "item,count\n" + "".join(f"{i},{c}\n" for i, c in items[n]) for n in names}
    result = sum(count for rows in items.values() for _, count in rows)
    text = "Add up the `count` column over all files in orders/ and write the sum, alone, into total.txt."
    return text, files, {"total.txt": f"{result}\n"}


def search(rng: random.Random) -> Errand:
    """Find the one file that holds a code."""
    names = rng.sample(WORDS, 8)
    codes = rng.sample(range(10_000, 99_999), 8)
    folders = rng.sample(WORDS, 3)
    places = [f"{rng.choice(folders)}/{name}.txt" for name in names]
    files = {place: f"reference {code}\n" for place, code in zip(places, codes, strict=True)}
    wanted = rng.randrange(8)
    text = (
        f"One file below /workdir holds the reference {codes[wanted]}. Write its path below /workdir, alone, "
        "into found.txt."
    )
    return text, files, {"found.txt": f"{places[wanted]}\n"}


def split(rng: random.Random) -> Errand:
    """Give each section of a file a file of its own."""
    names = rng.sample(WORDS, 3)
    bodies = {n: f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.randint(10, 99)}" for n in names}
    book = "\n".join(f"# {n}\n{body}" for n, body in bodies.items()) + "\n"
    text = (
        "book.md has sections that begin with `# NAME`. Write the line under each heading, alone, into "
        "parts/NAME.txt. Leave book.md as it is."
    )
    return text, {"book.md": book}, {f"parts/{n}.txt": f"{body}\n" for n, body in bodies.items()}


def rename(rng: random.Random) -> Errand:
    """Name files after what stands in them."""
    names = rng.sample(WORDS, 4)
    files = {f"drafts/draft{i}.txt": f"title: {n}\nnumber {rng.randint(100, 999)}\n" for i, n in enumerate(names)}
    expected: dict[str, str | None] = {}
    for (path, text), name in zip(files.items(), names, strict=True):
        expected[path] = None
        expected[f"drafts/{name}.txt"] = text
    return "Rename each file in drafts/ to TITLE.txt, where TITLE is what its first line says.", files, expected


ERRANDS: Final[tuple[Callable[[random.Random], Errand], ...]] = (setting, archive, total, search, split, rename)


def rows() -> Iterator[dict[str, Any]]:
    """All tasks, the same each time."""
    for errand in ERRANDS:
        for number in range(EACH):
            name = f"{errand.__name__}-{number + 1}"
            text, files, expected = errand(random.Random(f"{SEED}/{name}"))
            yield {"id": name, "prompt": ABOUT + text, "data": {"files": files, "expected": expected}}


if __name__ == "__main__":
    sys.stdout.writelines(json.dumps(row) + "\n" for row in rows())
