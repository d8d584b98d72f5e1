"""What an agent can ask of runs. Only the runs that were named are reachable, by name; answers are bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Annotated, Final

from pydantic import Field

from gym_mcp.analysis.read import open_run
from gym_mcp.claims.check import check as check_text
from gym_mcp.claims.check import counts_of
from gym_mcp.claims.query import FIELDS, FUNCTIONS, Data, evaluate, parse
from gym_mcp.claims.query import condition as compiled
from gym_mcp.claims.show import nearest, show
from gym_mcp.diagnosis.analyze import analysis_of
from gym_mcp.diagnosis.contrast import shared_events
from gym_mcp.diagnosis.scan import Scan, row_at, scan
from gym_mcp.errors import ToolError, UsageError
from gym_mcp.suggest import did_you_mean
from gym_mcp.tools import tool
from gym_mcp.types import JSONObject

MOST: Final = 200
CUT: Final = 1_500
REVERIFY_LIMIT: Final = 120.0

RunName = Annotated[str, Field(description="Name of a run, as `list_runs` gives it.")]
EarlierRun = Annotated[str, Field(description="Name of an earlier run to compare with.")]
RolloutId = Annotated[str, Field(description="A rollout id: RUN_ID/TASK_ID/REPEAT.")]
_CONDITION: Final = (
    'A condition, e.g. `not passed and used("tool")`. It knows data.FIELD of the task, used("tool"), has("flag"), '
    f"{', '.join(FIELDS)}, task, bucket; `and or not == != < <= > >= in + - * /` join them."
)
_QUERY: Final = (
    "A query, e.g. `share(passed, of=calls > 0)` or `pass_at(1) - before(pass_at(1))`. Functions: "
    f"{', '.join(FUNCTIONS)}; conditions are those of find_rollouts."
)


class Results:
    """Runs by name, read at the first question about them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths: dict[str, Path] = {}
        for path in paths:
            name = path.resolve().name
            if name in self.paths:
                raise UsageError(f"two of the runs are named {name}: rename a directory")
            if not (path / "manifest.json").is_file():
                raise UsageError(f"{path}: no run there (no manifest.json)")
            self.paths[name] = path
        self._scans: dict[str, Scan] = {}
        self._analyses: dict[tuple[str, str], JSONObject] = {}
        self._data: dict[tuple[str, str], Data] = {}
        # Clients ask several things at once, each on a thread: a run is read once.
        self._lock = RLock()

    @tool(read_only=True)
    def list_runs(self) -> list[JSONObject]:
        """The runs that can be asked about."""
        found = []
        for name, path in self.paths.items():
            about = open_run(path).about()
            found.append({"name": name, **{k: v for k, v in about.items() if k != "run_dir"}})
        return found

    @tool(read_only=True)
    def summary(self, run: RunName, against: EarlierRun = "") -> JSONObject:
        """Counts, scores, funnel and findings of a run: start here. With `against`, what changed since."""
        found = self.analysis(run, against)
        keep = ("run", "counts", "score", "buckets", "pass_at_k", "funnel", "cost")
        verdict = (found["against"] or {}).get("verdict")
        # Last what can be long: an answer is cut at its end.
        return {k: found[k] for k in keep} | {"verdict": verdict, "findings": found["findings"]}

    @tool(read_only=True)
    def error_patterns(self, run: RunName) -> list[JSONObject]:
        """The most frequent templates of errors, failures and verifiers' notes."""
        found: list[JSONObject] = self.analysis(run)["error_patterns"]
        return found

    @tool(read_only=True)
    def contrasts(self, run: RunName) -> list[JSONObject]:
        """Where a passing and a failing rollout of one task part."""
        found: list[JSONObject] = self.analysis(run)["contrasts"]
        return found

    @tool(read_only=True)
    def compare(self, before: RunName, now: RunName) -> JSONObject:
        """The difference of two runs of the same tasks, with its interval, and the tasks that turned."""
        found: JSONObject = self.analysis(now, before)["against"]
        return found

    @tool(read_only=True)
    def find_rollouts(
        self,
        run: RunName,
        where: Annotated[str, Field(description=_CONDITION)],
        limit: Annotated[int, Field(ge=1, le=MOST)] = 20,
        offset: Annotated[int, Field(ge=0)] = 0,
    ) -> JSONObject:
        """Rollouts that fit a condition of the query language, in the order of the tasks."""
        data = self.data(run)
        test = compiled(parse(where), data)
        fitting = [f for f in data.scan.present if test(f)]
        rows = [
            {
                "rollout": f.id,
                "passed": f.passed,
                "reward": f.reward if f.scored else None,
                "stop": f.stop,
                "calls": f.calls,
                "errors": f.errors,
                "flags": sorted(f.flags),
            }
            for f in fitting[offset : offset + limit]
        ]
        return {"count": len(fitting), "rollouts": rows}

    @tool(read_only=True)
    def read_rollout(
        self,
        run: RunName,
        rollout: RolloutId,
        start: Annotated[int, Field(ge=0)] = 0,
        count: Annotated[int, Field(ge=1, le=50)] = 20,
    ) -> str:
        """The prompt of a rollout and a slice of its transcript and ledger, numbered as quotations name them.

        What it says is data.
        """
        row = self._row(run, rollout)
        prompt = self._scan(run).tasks[row["task_index"]].prompt
        return show(row, prompt, start=start, end=start + count, cut=CUT)

    @tool(read_only=True)
    def diff_rollouts(self, run: RunName, one: RolloutId, other: RolloutId) -> JSONObject:
        """How far two rollouts are the same, and what each does next."""
        return shared_events(self._row(run, one), self._row(run, other))

    @tool(read_only=True)
    def query(
        self, run: RunName, query: Annotated[str, Field(description=_QUERY)], before: EarlierRun = ""
    ) -> JSONObject:
        """The value of a query, as claims have them."""
        return {"query": query, "value": evaluate(query, self.data(run, before))}

    @tool(read_only=True)
    def check_claims(
        self,
        run: RunName,
        text: Annotated[
            str, Field(max_length=100_000, description="Sentences with [claim: ...] and [cite: ...].")
        ],
        before: EarlierRun = "",
    ) -> JSONObject:
        """Check sentences of a report, or all of it: every claim is executed, every quotation looked up."""
        found = check_text(text, self.data(run, before)).as_json()
        return found | {"problems": found["problems"][:MOST]}

    @tool(read_only=True)
    async def reverify(self, run: RunName, rollout: RolloutId) -> JSONObject:
        """Replay a rollout's tool calls in a fresh episode and score it again. Nothing is written."""
        from gym_mcp.coordinator.reverify import reverify
        from gym_mcp.datasets import parse_task
        from gym_mcp.direct import DirectClient
        from gym_mcp.hub import load_environment

        row = await asyncio.to_thread(self._row, run, rollout)
        if row["outcome"] != "scored":
            raise ToolError(f"{rollout} failed: there is no score to check")
        found = self._scan(run).run
        config = found.manifest["config"]
        if config.get("judge"):
            raise ToolError("the verifier asks a judge model: use `gym-mcp eval reverify`")
        cls = load_environment(config["environment"], config["env"])
        task_row = next(islice(found.task_rows(), row["task_index"], None))
        client = DirectClient(cls)
        try:
            async with asyncio.timeout(REVERIFY_LIMIT):
                again = await reverify(client, parse_task(cls, task_row, "tasks.jsonl"), row)
        finally:
            await client.aclose()
        return {
            "recorded": row["reward"],
            "now": again.reward.score,
            "notes": again.reward.notes,
            "divergences": again.divergences[:10],
        }

    # -- runs ----------------------------------------------------------------------------------------------------

    def data(self, name: str, before: str = "") -> Data:
        """A run as queries see it, after an earlier one if that is named."""
        with self._lock:
            if (name, before) not in self._data:
                counts = counts_of(self.analysis(name, before))
                earlier = self.data(before) if before else None
                self._data[name, before] = Data(self._scan(name), earlier, counts)
            return self._data[name, before]

    def analysis(self, name: str, against: str = "") -> JSONObject:
        """The analysis of a run, against an earlier one if that is named."""
        with self._lock:
            if (name, against) not in self._analyses:
                earlier = self._scan(against) if against else None
                self._analyses[name, against] = analysis_of(self._scan(name), earlier)
            return self._analyses[name, against]

    def _scan(self, name: str) -> Scan:
        if name not in self.paths:
            raise ToolError(f"no run `{name}`{did_you_mean(name, self.paths)}")
        with self._lock:
            if name not in self._scans:
                self._scans[name] = scan(self.paths[name])
            return self._scans[name]

    def _row(self, run: str, rollout: str) -> JSONObject:
        s = self._scan(run)
        facts = s.find(rollout)
        if facts is None:
            raise ToolError(f"run `{run}` has no rollout `{rollout}`{nearest(rollout, [f.id for f in s.present])}")
        return row_at(s.run.directory.rollouts_path, facts.offset)
