"""One agent's access to one model: its secrets, its budget, and the record of what it asked."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from gym_mcp.calls import CallRecord, Recorder, content_bytes, digest
from gym_mcp.errors import LimitReached, ModelError, PromptTooLong, RolloutError
from gym_mcp.gateway.ask import Ask, Refused
from gym_mcp.gateway.conversation import main_items, mark_sides
from gym_mcp.gateway.log import CallLog
from gym_mcp.gateway.restore import Restorer
from gym_mcp.gateway.upstream import EMBEDDED, as_offered, portable
from gym_mcp.models.base import Model, Request, Response, Usage
from gym_mcp.types import Transcript, assistant_message

FINAL_TEXT: Final = "The budget for this task is spent, so I stop here."
MODEL_NAME: Final = "gym-mcp-model"
_CLOSING: Final = 10.0
"""Seconds that cancelled calls have to end."""


@runtime_checkable
class Recording(Protocol):
    """A model that records its calls itself, such as the coordinator's meter."""

    def record_calls(self) -> Recorder:
        """Record from now on."""
        ...


class GatewaySession:
    """A secret path and a key in front of one model.

    `stop` is the budget that ended the agent, `error` the model's failure that it was told of. `keep_going` tries
    the model again after a failure; otherwise a rollout that has failed answers all further requests alike.
    """

    def __init__(
        self,
        origin: str,
        model: Model,
        *,
        final_text: str = FINAL_TEXT,
        keep_going: bool = False,
        key: str | None = None,
        log: CallLog | None = None,
        forget: Callable[[GatewaySession], None] | None = None,
    ) -> None:
        self.secret = secrets.token_urlsafe(24)
        self.key = key or f"sk-gym-{secrets.token_urlsafe(24)}"
        self.base_url = f"{origin}/{self.secret}"
        self.model_name = MODEL_NAME
        self.stop: str | None = None
        self.error: RolloutError | None = None
        self.recorder = model.record_calls() if isinstance(model, Recording) else Recorder()
        self._records_itself = isinstance(model, Recording)
        self._model = model
        self._final_text = final_text
        self._keep_going = keep_going
        self._forget = forget
        self._log = log
        self._closed = False
        self._restorer = Restorer()
        self._in_flight: set[asyncio.Task[Response]] = set()
        self._unread: dict[str, tuple[Response, CallRecord | None]] = {}

    @property
    def calls(self) -> list[CallRecord]:
        """All calls so far, in the order in which they ended."""
        return self.recorder.calls

    def admits(self, key: str) -> bool:
        """Whether `key` is this session's; in constant time."""
        return hmac.compare_digest(key.encode("utf-8", "replace"), self.key.encode())

    def transcript(self) -> Transcript:
        """What the agent's main conversation holds from the first answer on, prompts left out.

        Side conversations (titles, summaries, sub-agents) are in `calls` only. The text that ends a spent budget
        is nobody's answer and is left out.
        """
        calls = sorted(self.calls, key=lambda call: call.seq)
        mark_sides(calls, self.recorder.graph)
        last = next((call.finish for call in reversed(calls) if not call.side and call.error is None), "completed")
        return Transcript(main_items(calls, self.recorder.graph), stop=self.stop or last)

    async def respond(self, ask: Ask, dialect: str) -> tuple[Response, CallRecord | None]:
        """The model's answer and its record; no record for the text that ends a spent budget.

        `Refused` for what the agent has to be told instead: the session is over, the model failed.
        """
        if self._closed:
            raise Refused("over", "this session is over")
        if self.stop is not None:
            return self._final(), None
        if self.error is not None and not self._may_go_on():
            raise Refused("model", str(self.error))
        items = self._restorer.restore(ask.items)
        request = Request(*portable(self._model.spec, items, ask))
        kept = self._unread.pop(_key(request), None) if self._unread else None
        try:
            response, record = kept or await self._call(request)
        except Refused:
            self._note_failure(ask, dialect)
            raise
        self._restorer.learn(response.output)
        if record is not None:
            record.dialect, record.dropped, record.delivered = dialect, list(ask.dropped), True
            self._write(record)
        return response, record

    def _note_failure(self, ask: Ask, dialect: str) -> None:
        new = (call for call in reversed(self.calls) if call.error is not None and not call.dialect)
        record = next(new, None)
        if record is not None:
            record.dialect, record.dropped = dialect, list(ask.dropped)
            self._write(record)

    def _write(self, record: CallRecord) -> None:
        if self._log is not None:
            self._log.write(self.recorder, record)

    def unread(self, ask: Ask, response: Response, record: CallRecord | None) -> None:
        """The agent went before it had this answer: it gets the same one if it asks the same again."""
        if record is not None and not self._closed:
            record.delivered = False
            request = Request(*portable(self._model.spec, self._restorer.restore(ask.items), ask))
            self._unread = {_key(request): (response, record)}

    def _may_go_on(self) -> bool:
        return self._keep_going or isinstance(self.error, PromptTooLong)

    async def _call(self, request: Request) -> tuple[Response, CallRecord | None]:
        started = time.time()
        task = asyncio.get_running_loop().create_task(self._model.respond(request))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        try:
            response = await task
        except LimitReached as limit:
            self.stop = limit.reason
            return self._final(), None
        except ModelError as error:
            self.error = error
            if not self._records_itself:
                self.recorder.failed(request, error, -1, started, time.time() - started)
            raise Refused("too_long" if isinstance(error, PromptTooLong) else "model", str(error)) from None
        except asyncio.CancelledError:
            if self._closed and not _cancelled():
                raise Refused("over", "this session is over") from None
            raise
        if self.error is not None and self._may_go_on():
            self.error = None
        if not self._records_itself:
            self.recorder.answered(request, response, started)
        record = self.recorder.find(response.seq) if self._records_itself else self.recorder.calls[-1]
        if record is not None and self._model.spec.partition("/")[0] in EMBEDDED:
            response.output = record.items = as_offered(response.output, request.tools)
            record.output = self.recorder.graph.add(record.items, record.input)
        return response, record

    def _final(self) -> Response:
        return Response([assistant_message(self._final_text)], Usage(), id="final", model=self.model_name)

    async def aclose(self) -> None:
        """Refuse what comes from now on and cancel the calls in flight."""
        self._closed = True
        if self._forget is not None:
            self._forget(self)
        tasks = list(self._in_flight)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSING)
        mark_sides(self.calls, self.recorder.graph)


def _key(request: Request) -> str:
    return digest(content_bytes([request.input, request.tools, request.params]))


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
