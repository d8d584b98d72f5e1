"""The names that a run knows, and where a text mentions them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gym_mcp.analysis.groups import NONE
from gym_mcp.claims.query import Data
from gym_mcp.diagnosis.ability import fields, label_of


class Names:
    """The names that a run knows, by kind: tasks, rollouts, tools, and values of task fields."""

    def __init__(self, data: Data) -> None:
        scans = [data.scan, *([data.before.scan] if data.before else [])]
        self.tasks = {t.id for s in scans for t in s.tasks}
        self.tools = {t for s in scans for t in s.tools}
        self.rollouts = {f.id for s in scans for f in s.present}
        self.categories = {v for v in _categories(data) if re.search(r"[^\W\d]", v)} - {"true", "false", NONE}

        self.runs = {str(s.run.manifest["run_id"]) for s in scans}
        self.totals = {"rollouts": sum(1 for _ in data.scan.present), "tasks": len(data.scan.tasks)}

    @property
    def every(self) -> set[str]:
        """All of them."""
        return self.tasks | self.tools | self.rollouts | self.categories

    def mentioned(self, text: str) -> list[str]:
        """The names that a text mentions, in order."""
        found = []
        for m in re.finditer(r"[\w./@:+-]*\w", text):
            word = m.group()
            if (
                word in self.rollouts
                or word in self.tools
                or (word in self.tasks and _telling(word, text, m.start()))
            ):
                found.append((m.start(), word))
        spans = [(at, at + len(word)) for at, word in found]
        for value in self.categories:
            places = [m.start() for m in re.finditer(_word(value), text, re.IGNORECASE)]
            found += [(at, value) for at in places if not any(a <= at < b for a, b in spans)]
        return [word for _, word in sorted(found)]


def _word(name: str) -> str:
    return r"(?<![\w/-])" + re.escape(name) + r"(?![\w/-])"


def _telling(word: str, text: str, at: int) -> bool:
    return bool(re.search(r"[\d_/-]", word)) or text[at - 1 : at] == "`"


def _categories(data: Data) -> Iterator[str]:
    for path in fields(data.scan):
        for i in range(len(data.scan.tasks)):
            yield label_of(data.scan, i, path)
