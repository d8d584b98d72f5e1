"""Procedural reasoning: the questions and the scoring of the reasoning-gym package."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gym_mcp import Environment, Options, Reward, Transcript
from gym_mcp.errors import VerifierError
from gym_mcp.types import JSONObject
from verifiers.extract import between
from verifiers.workers import WorkerDied, WorkerTimeout, pool_of

from . import generators, scorer

generators.require()

SECONDS: Final = 10.0
"""That scoring one answer may take."""
MAX_CHARS: Final = 100_000
"""A longer answer is read from this many characters before its end."""
ASK: Final = "Put your final answer, and nothing else, between <answer> and </answer>."
_TAG: Final = (re.compile("<answer>"), re.compile("</answer>"))
_BOX: Final = (re.compile(r"\\boxed\{"), re.compile(r"\}"))


def _known(metadata: dict[str, Any]) -> dict[str, Any]:
    name = metadata.get("source_dataset")
    if name not in generators.names():
        raise ValueError(f"source_dataset: {name!r} is no generator of the installed reasoning-gym")
    return metadata


class Row(BaseModel):
    """A question as a generator made it. `config`: settings of the generator that its scorer reads."""

    model_config = ConfigDict(extra="ignore")
    question: str
    answer: str | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(_known)]
    config: dict[str, Any] = Field(default_factory=dict)


class ReasoningGym(Environment[Row]):
    """Answer a procedurally generated reasoning problem; the scoring gives partial credit."""

    domain = "reasoning"
    tags = ("procedural", "puzzles", "math", "logic", "single-turn")
    floor = 0.05
    argument = "dataset"

    class Options(Options):
        """`dataset`: a generator, several with commas, or `all`. `size` tasks are made from `seed`; `config` are
        settings of the generators.
        """

        dataset: str = ""
        size: int = Field(default=22, ge=1)
        seed: int = 42
        config: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def tasks(cls) -> Iterable[JSONObject]:
        options = cls.options
        for row in generators.rows(options.dataset, options.size, options.seed, options.config):
            yield {"id": row.pop("name"), "prompt": f"{row['question']}\n\n{ASK}", "data": row}

    async def verify(self, transcript: Transcript) -> Reward:
        answer = final_answer(transcript.text)
        if not answer:
            return Reward(0.0, notes="no answer")
        request = {
            "entry": self.task.data.model_dump(include={"question", "answer", "metadata"}),
            "config": self.task.data.config,
            "answer": answer[-MAX_CHARS:],
        }
        try:
            reply = await pool_of(Path(scorer.__file__)).ask_async(request, timeout=SECONDS)
        except WorkerTimeout:
            return Reward(0.0, notes=f"scoring took longer than {SECONDS:g} s")
        except WorkerDied:
            await _still_works(request)
            return Reward(0.0, notes="scoring broke off")
        return Reward(reply["score"], notes=reply["note"])

    def solution(self) -> str:
        answer = generators.answer_of(self.task.data.model_dump())
        if answer is None:
            raise NotImplementedError(f"{self.task.data.metadata['source_dataset']} states no answer")
        tagged = f"<answer>{answer}</answer>"
        return tagged if final_answer(tagged) == answer else answer


def final_answer(text: str) -> str:
    """What the last `<answer>` holds, else the first `\\boxed{}`, else all of the text; stripped."""
    tags = list(between(text, *_TAG))
    if tags:
        return tags[-1].strip()
    return next((box for box in between(text, *_BOX) if box), text).strip()


async def _still_works(request: dict[str, Any]) -> None:
    """`VerifierError` when a harmless answer kills the scorer, too: then it was not the agent's doing."""
    try:
        await pool_of(Path(scorer.__file__)).ask_async({**request, "answer": "0"}, timeout=SECONDS)
    except WorkerDied:
        raise VerifierError("the scoring process of reasoning_gym does not work") from None
    except WorkerTimeout:
        return
