"""Writes `tasks.jsonl`: questions about the bundled databases, each with schema and first rows in its prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tool_servers.bird_sql.databases import dump

_PROMPT: Final = (
    "Answer the question with one SQLite query, given between ```sql and ```.\n\nQuestion: {question}\n\n"
    "The database (the first rows of each table):\n{dump}"
)
TASKS: Final = (
    ("seats-per-town", "town_library", "simple", "How many seats does the branch in Silt have?",
     "SELECT seats FROM branches WHERE town = 'Silt'"),
    ("thick-poetry", "town_library", "simple", "Which poetry books have more than 500 pages? Give their titles.",
     "SELECT title FROM books WHERE genre = 'poetry' AND pages > 500"),
    ("members-by-kind", "town_library", "simple", "How many members of each kind are there? Give kind and number.",
     "SELECT kind, COUNT(*) FROM members GROUP BY kind"),
    ("never-lent", "town_library", "moderate", "Give the titles of the books that were never lent.",
     "SELECT title FROM books WHERE book_id NOT IN (SELECT book_id FROM loans)"),
    ("fines-by-town", "town_library", "moderate",
     "How much was paid in fines in all at each branch? Give the branch's town and the sum.",
     "SELECT b.town, SUM(l.fine) FROM loans l JOIN branches b ON b.branch_id = l.branch_id GROUP BY b.town"),
    ("busiest-reader", "town_library", "moderate", "What is the name of the member with the most loans?",
     "SELECT m.name FROM members m JOIN loans l ON l.member_id = m.member_id GROUP BY m.member_id"
     " ORDER BY COUNT(*) DESC, m.member_id LIMIT 1"),
    ("still-out", "town_library", "challenging",
     "For each genre: what share of its loans, as a fraction, has not been returned? Give genre and share.",
     "SELECT k.genre, AVG(l.returned IS NULL) FROM loans l JOIN books k ON k.book_id = l.book_id"
     " GROUP BY k.genre"),
    ("high-stations", "railway", "simple", "Which stations lie above 1000 m? Give their names.",
     "SELECT name FROM stations WHERE `Altitude (m)` > 1000"),
    ("old-trains", "railway", "simple", "How many trains of Northline were built before 2000?",
     "SELECT COUNT(*) FROM trains WHERE operator = 'Northline' AND built < 2000"),
    ("worst-delay", "railway", "moderate", "What was the longest delay of a run that started in Cold Pass?",
     "SELECT MAX(r.delay) FROM runs r JOIN stations s ON s.code = r.origin WHERE s.name = 'Cold Pass'"),
    ("overfull", "railway", "moderate", "On how many runs were there more passengers than seats?",
     "SELECT COUNT(*) FROM runs r JOIN trains t ON t.train_id = r.train_id WHERE r.passengers > t.seats"),
    ("idle-trains", "railway", "moderate", "Which trains made no run in 2023? Give their ids.",
     "SELECT train_id FROM trains WHERE train_id NOT IN"
     " (SELECT train_id FROM runs WHERE strftime('%Y', day) = '2023')"),
    ("mean-delay", "railway", "challenging",
     "What was each operator's mean delay over its runs of 2022 with a known delay? Give operator and mean.",
     "SELECT t.operator, AVG(r.delay) FROM runs r JOIN trains t ON t.train_id = r.train_id"
     " WHERE r.day LIKE '2022-%' AND r.delay IS NOT NULL GROUP BY t.operator"),
)  # fmt: skip


def rows() -> list[dict[str, object]]:
    """The bundled tasks."""
    return [
        {
            "id": name,
            "prompt": _PROMPT.format(question=question, dump=dump(database)),
            "data": {"db_id": database, "gt_sql": query, "question": question, "difficulty": difficulty},
        }
        for name, database, difficulty, question, query in TASKS
    ]


if __name__ == "__main__":
    lines = [json.dumps(row) + "\n" for row in rows()]
    Path(__file__).with_name("tasks.jsonl").write_text("".join(lines), encoding="utf-8")
