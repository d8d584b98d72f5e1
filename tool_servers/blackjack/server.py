"""Blackjack in conversation: see the hand, say hit or stand."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from gym_mcp import Environment, Options, Reward, Task, Transcript
from gym_mcp.errors import VerifierError
from gym_mcp.types import JSONObject, text_of
from verifiers.extract import spoken_turns

from .game import RANKS, Hand, action_of, best_actions, settle, value

RULES = (
    "You play one hand of blackjack against a dealer who draws below 17. The deck never runs out. Answer each "
    "hand that you are shown with <action>hit</action> or <action>stand</action>; an answer without either stands."
)

_PUBLISHED: Final = "Your hand: ["
"""Opens the cards in prompts of recorded rollouts of the published server."""


class Row(BaseModel):
    """`seed` of the cards; the episode's own when absent, as in published rows."""

    model_config = ConfigDict(extra="ignore")
    seed: int | None = None


class Blackjack(Environment[Row]):
    """Win a hand of blackjack against the dealer."""

    domain = "games"
    tags = ("multi-turn", "card-game")
    reward_range = (-1.0, 1.0)
    floor = -1.0

    class Options(Options):
        """How many `hands` to make, from the seeds from `first_seed` on: those that only drawing cards can win."""

        hands: int = Field(default=16, ge=1)
        first_seed: int = 0

    @classmethod
    def tasks(cls) -> Iterable[JSONObject]:
        for seed in islice(filter(_needs_play, count(cls.options.first_seed)), cls.options.hands):
            yield {"id": f"hand-{seed}", "prompt": f"{RULES}\n\n{shown(_dealt(seed))}", "data": {"seed": seed}}

    def open(self, task: Task[Row]) -> None:
        seed = task.data.seed
        self._seed = self.seed if seed is None else seed
        self._hand = _dealt(self._seed)
        told = "\n".join(map(text_of, task.prompt))
        # A published prompt does not show the cards: its first answer brings them.
        self._unseen = shown(self._hand) not in told
        self._dealt_elsewhere = _PUBLISHED in told
        self.said: list[str] = []

    def reply(self, message: str) -> str | None:
        self.said.append(message)
        if self._unseen and len(self.said) == 1:
            return shown(self._hand)
        if self._hand.result is None:
            self._hand.act(action_of(message))
        if self._hand.result is not None:
            self.done = True
            return None
        return shown(self._hand)

    def verify(self, transcript: Transcript) -> Reward:
        if self._dealt_elsewhere:
            return _recorded(transcript.facts.get("info"))
        hand = self._played(max(self.said, spoken_turns(transcript.items), key=len))
        if hand.result is None:
            return Reward(-1.0, notes="the hand was not played to its end")
        mine, theirs = value(hand.player), value(hand.dealer)
        parts = {"player": float(mine), "dealer": float(theirs), "cards": float(len(hand.player))}
        return Reward(float(hand.result), parts, f"{' '.join(hand.player)} against {' '.join(hand.dealer)}")

    def _played(self, answers: list[str]) -> Hand:
        """The hand after the agent's answers, from its deal on."""
        hand = _dealt(self._seed)
        for message in answers[1 if self._unseen else 0 :]:
            if hand.result is None:
                hand.act(action_of(message))
        return hand

    def solution(self) -> Iterator[str]:
        if self._unseen:
            yield "Deal the cards."
        for action in best_actions(self._seed)[1]:
            yield f"<action>{action}</action>"


def shown(hand: Hand) -> str:
    """What the player sees."""
    return f"Your hand: {' '.join(hand.player)} (value {value(hand.player)})\nThe dealer shows: {hand.dealer[0]}"


def _recorded(info: Any) -> Reward:
    """The result of a hand of another server's cards, from what its rollout says of both final hands.

    Raises `VerifierError` when it says nothing: these cards cannot be dealt again.
    """
    try:
        hands = [info[side].strip("[]").split(", ") for side in ("player", "dealer") if side in info]
        player, dealer = hands[0], hands[1] if len(hands) > 1 else []
        if not {*player, *dealer} <= {*RANKS}:
            raise ValueError("no cards")
    except (TypeError, IndexError, AttributeError, ValueError):
        raise VerifierError(
            "the prompt shows another server's hand, and the row not how it ended (`info`)"
        ) from None
    note = f"recorded: {' '.join(player)} against {' '.join(dealer) or 'nobody'}"
    return Reward(float(settle(player, dealer)), {}, note)


def _dealt(seed: int) -> Hand:
    hand = Hand(random.Random(seed))
    hand.deal()
    return hand


def _needs_play(seed: int) -> bool:
    """Whether the hand can be won, and standing at once loses it."""
    result, actions = best_actions(seed)
    hand = _dealt(seed)
    hand.act("stand")
    return result == 1 and len(actions) > 1 and hand.result == -1
