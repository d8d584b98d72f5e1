"""Text to SQL: the query's rows must be the gold query's rows, on a real SQLite database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gym_mcp import Environment, Options, Reward, Transcript
from gym_mcp.errors import VerifierError
from verifiers.sandbox_local import in_thread
from verifiers.sql import Comments, Result, Row, SqlLimits, execute, extract_sql, same_columns, same_rows

from . import databases, excerpt


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise ValueError(f"{path} is no directory")
    return path


class BirdRow(BaseModel):
    """A question's gold query and its database; other published fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    gt_sql: str = Field(min_length=1)
    db_id: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    sql_context: str = ""


class BirdSql(Environment[BirdRow]):
    """Answer a question about a database with one SQLite query."""

    domain = "coding"
    tags = ("sql", "single-turn")
    call_timeout = 300.0

    class Options(Options):
        """`databases`: a folder of published databases, `DB/DB.sqlite` or `DB.sqlite`."""

        databases: Annotated[Path | None, AfterValidator(_folder)] = None
        seconds: float = Field(default=30.0, gt=0)
        """For each of the two queries."""
        comments: Comments = "to_end"
        equality: Literal["rows", "columns"] = "rows"

    def _database(self) -> tuple[Path, bool]:
        """The file to ask, and whether it is only an excerpt of the published database."""
        row = self.task.data
        if row.db_id in databases.BUNDLED:
            return databases.bundled(row.db_id), False
        if self.options.databases is not None:
            found = databases.published(self.options.databases, row.db_id)
            if found is None:
                raise VerifierError(f"no database {row.db_id} below {self.options.databases} (env.databases)")
            return found, False
        if not row.sql_context:
            raise VerifierError(f"no database {row.db_id}: set env.databases to the folder of the published ones")
        return excerpt.from_dump(row.sql_context, row.gt_sql), True

    async def verify(self, transcript: Transcript) -> Reward:
        query = extract_sql(transcript.text, self.options.comments)
        if query is None:
            return Reward(0.0, {"extracted": 0.0, "executed": 0.0}, "no ```sql block with a query")
        database, partial = self._database()
        queries = [self.task.data.gt_sql, query]
        gold, found = await in_thread(execute, database, queries, SqlLimits(self.options.seconds))
        if gold.rows is None and not (partial and _same_text(*queries)):
            raise VerifierError(f"task {self.task.id}: the gold query fails: {gold.error}")
        parts = {"extracted": 1.0, "executed": float(found.rows is not None)}
        if found.rows is None:
            return Reward(0.0, parts, f"the query fails: {found.error}")
        if partial and not gold.rows and not _same_text(*queries):
            return Reward(0.0, parts, "the excerpt has no row for the gold query: another query cannot be judged")
        equal = self._equal(found, gold, partial)
        note = "the gold query's rows" if equal else f"{len(found.rows)} rows, not the gold query's"
        return Reward(float(equal), parts, note + (" (on an excerpt of the database)" if partial else ""))

    def _equal(self, found: Result, gold: Result, partial: bool) -> bool:
        rows, wanted = found.rows or [], gold.rows or []
        if self.options.equality == "columns":
            return same_columns(rows, wanted)
        if partial:
            rows, wanted = _rounded(rows), _rounded(wanted)
        return same_rows(rows, wanted)

    def solution(self) -> str:
        return f"```sql\n{self.task.data.gt_sql}\n```"


def _same_text(a: str, b: str) -> bool:
    return " ".join(a.split()).rstrip("; ") == " ".join(b.split()).rstrip("; ")


def _rounded(rows: list[Row]) -> list[Row]:
    """An excerpt's numbers have lost their last digits on the way through text."""
    return [tuple(float(f"{v:.12g}") if isinstance(v, float) else v for v in row) for row in rows]
