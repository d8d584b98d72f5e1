"""One hand of blackjack from an endless deck, by the rules of the published server."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Final, Literal

Action = Literal["hit", "stand"]
RANKS: Final = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
DEALER_STANDS: Final = 17
_ACTION: Final = re.compile(r"<action>\s*(hit|stand)\s*</action>", re.IGNORECASE)


def value(cards: list[str]) -> int:
    """The value of a hand: an ace counts 11 where that does not bust, else 1; pictures count 10."""
    total = sum(1 if card == "A" else int(card) if card.isdigit() else 10 for card in cards)
    return total + 10 if "A" in cards and total <= 11 else total


def action_of(message: str) -> Action:
    """The last action tag of a message; a message without one stands."""
    found = _ACTION.findall(message)
    return "hit" if found and found[-1].lower() == "hit" else "stand"


@dataclass(slots=True)
class Hand:
    """The player's and the dealer's cards; every card is drawn from `rng`, one of 13 ranks.

    `result` is None while the hand is played; then it is what the player gets: 1, 0 or -1.
    """

    rng: random.Random
    player: list[str] = field(default_factory=list)
    dealer: list[str] = field(default_factory=list)
    result: int | None = None

    def deal(self) -> None:
        """Two cards for each, the player's first."""
        self.player = [self._card(), self._card()]
        self.dealer = [self._card(), self._card()]

    def act(self, action: Action) -> None:
        """Hit or stand; standing lets the dealer draw below 17 and ends the hand."""
        if action == "hit":
            self.player.append(self._card())
            if value(self.player) > 21:
                self.result = -1
            return
        while value(self.dealer) < DEALER_STANDS:
            self.dealer.append(self._card())
        self.result = settle(self.player, self.dealer)

    def _card(self) -> str:
        return self.rng.choice(RANKS)


def settle(player: list[str], dealer: list[str]) -> int:
    """1 when the player's final hand wins against the dealer's, 0 for a draw, -1 when it loses."""
    mine, theirs = value(player), value(dealer)
    if mine > 21:
        return -1
    if theirs > 21:
        return 1
    return (mine > theirs) - (mine < theirs)


def best_actions(seed: int | str) -> tuple[int, list[Action]]:
    """The best result that the hand of this seed allows, and the shortest way to it."""
    best: tuple[int, list[Action]] = (-2, [])
    for hits in range(22):
        hand = Hand(random.Random(seed))
        hand.deal()
        actions: list[Action] = [*(["hit"] * hits), "stand"]  # type: ignore[list-item]
        for action in actions:
            if hand.result is None:
                hand.act(action)
        assert hand.result is not None
        if hand.result > best[0]:
            best = (hand.result, actions)
        if value(hand.player) > 21:
            break
    return best
