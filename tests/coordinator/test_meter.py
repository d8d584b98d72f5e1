"""The meter counts every call and lets none through once a budget is spent, however the harness makes them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gym_mcp.coordinator.meter import Meter
from gym_mcp.errors import LimitReached, ModelError
from gym_mcp.harness import Limits
from gym_mcp.models.base import Request
from gym_mcp.models.spec import make_model
from gym_mcp.types import user_message
from tests.endpoint import FAULTS, Answer, Endpoint, Reply, faulty, fixed, message
from tests.support import run

ASK = Request([user_message("Go.")])


def metered(
    limits: Limits, calls: int, *, price: tuple[float, float] | None = None, together: bool = False
) -> Any:
    """(meter, what each of `calls` calls raised or None, requests at the endpoint)."""

    async def main() -> tuple[Meter, list[Any], int]:
        async with Endpoint(fixed("yes")) as endpoint:
            model = make_model("openai/m", base_url=endpoint.url, price=price)
            meter = Meter(model, limits)
            try:
                if together:
                    results: list[Any] = await asyncio.gather(
                        *(meter.respond(ASK) for _ in range(calls)), return_exceptions=True
                    )
                else:
                    results = [
                        (await asyncio.gather(meter.respond(ASK), return_exceptions=True))[0] for _ in range(calls)
                    ]
            finally:
                await model.aclose()
            errors = [r if isinstance(r, BaseException) else None for r in results]
            return meter, errors, endpoint.requests

    return run(main)


def test_usage_is_the_sum_over_all_calls() -> None:
    meter, errors, requests = metered(Limits(turns=None), 3, price=(2.0, 10.0))
    assert errors == [None] * 3 and requests == 3
    assert meter.as_json() == {
        "model_calls": 3,
        "input_tokens": 30,
        "output_tokens": 15,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "retries": 0,
        "cost": pytest.approx((30 * 2.0 + 15 * 10.0) / 1e6),
    }
    assert meter.seconds > 0 and len(meter.output) == 3


def test_without_a_price_the_cost_is_unknown() -> None:
    assert metered(Limits(), 1)[0].as_json()["cost"] is None


@pytest.mark.parametrize(
    ("limits", "reason", "allowed"),
    [
        (Limits(turns=2), "max_turns", 2),
        (Limits(tokens=15), "max_tokens", 1),
        (Limits(tokens=16), "max_tokens", 2),
        (Limits(turns=None, cost=15e-6), "max_cost", 1),
        (Limits(turns=None, cost=16e-6), "max_cost", 2),
    ],
)
def test_a_spent_budget_stops_the_next_call(limits: Limits, reason: str, allowed: int) -> None:
    _, errors, requests = metered(limits, 4, price=(1.0, 1.0))
    assert requests == allowed
    assert errors[:allowed] == [None] * allowed
    assert [e.reason for e in errors[allowed:] if isinstance(e, LimitReached)] == [reason] * (4 - allowed)


def test_calls_made_at_once_are_turns_too() -> None:
    _, errors, requests = metered(Limits(turns=3), 10, together=True)
    assert requests == 3 and sum(isinstance(e, LimitReached) for e in errors) == 7


def test_retries_and_failures() -> None:
    def script(body: Any, n: int) -> Answer:
        return FAULTS["500"] if n % 2 == 0 else Reply([message("yes")])

    async def main() -> None:
        async with Endpoint(script) as endpoint:
            model = make_model("openai/m", base_url=endpoint.url, max_retries=1)
            meter = Meter(model, Limits())
            await meter.respond(ASK)
            await model.aclose()
            assert (meter.retries, meter.usage.calls, endpoint.requests) == (1, 1, 2)
        async with Endpoint(faulty(fixed("x"), FAULTS["400"], first=1)) as endpoint:
            model = make_model("openai/m", base_url=endpoint.url)
            meter = Meter(model, Limits())
            with pytest.raises(ModelError, match="400"):
                await meter.respond(ASK)
            await model.aclose()
            assert (meter.usage.calls, meter.output) == (0, [])

    run(main)


def test_calls_made_at_once_are_all_recorded_when_they_bring_tokens() -> None:
    fields = {"prompt_token_ids": [1], "generation_token_ids": [2], "generation_log_probs": [-0.5]}

    async def main() -> None:
        async with Endpoint(lambda body, n: Reply([{**message("yes"), **fields}])) as endpoint:
            model = make_model("openai/m", base_url=endpoint.url)
            meter = Meter(model, Limits())
            await asyncio.gather(*(meter.respond(ASK) for _ in range(5)))
            await meter.respond(ASK)
            await model.aclose()
            assert meter.recorder is not None
            assert sorted(record.seq for record in meter.recorder.calls) == list(range(6))
            assert all(record.tokens for record in meter.recorder.calls)

    run(main)


def test_a_failed_call_is_recorded_too() -> None:
    async def main() -> None:
        async with Endpoint(faulty(fixed("x"), FAULTS["400"], first=1)) as endpoint:
            model = make_model("openai/m", base_url=endpoint.url)
            meter = Meter(model, Limits())
            recorder = meter.record_calls()
            with pytest.raises(ModelError):
                await meter.respond(ASK)
            await meter.respond(ASK)
            await model.aclose()
            assert [(record.seq, record.finish) for record in recorder.calls] == [(0, "error"), (1, "completed")]

    run(main)
