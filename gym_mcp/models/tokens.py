"""Token ids and log probabilities of answers, under the names that servers give them. Pure functions.

vLLM (`return_token_ids`): `prompt_token_ids` of the completion, `token_ids` and `logprobs` of the choice. SGLang
(`return_prompt_token_ids`, `return_meta_info`): `prompt_token_ids` and `meta_info.output_token_logprobs` of the
choice. NeMo Gym: `prompt_token_ids`, `generation_token_ids`, `generation_log_probs` of the message or output item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gym_mcp.models.base import Tokens
from gym_mcp.types import JSONObject

ASKED: Final = "return_token_ids"
"""The sampling setting that asks for them."""


def chat_tokens(answer: JSONObject) -> Tokens | None:
    """The tokens of a chat completion's first choice; None when it has none."""
    choice = answer["choices"][0]
    message = choice.get("message")
    if isinstance(message, dict) and "generation_token_ids" in message:
        return item_tokens([message])
    generation, log_probs = _ids(choice.get("token_ids")), _content_log_probs(choice.get("logprobs"))
    meta = choice.get("meta_info")
    if generation is None and isinstance(meta, dict):
        generation, log_probs = _pairs(meta.get("output_token_logprobs"))
    if generation is None:
        return None
    prompt = _ids(answer.get("prompt_token_ids")) or _ids(choice.get("prompt_token_ids")) or []
    return Tokens(prompt, generation, log_probs if len(log_probs) == len(generation) else [])


def item_tokens(items: Iterable[Mapping[str, Any]]) -> Tokens | None:
    """The tokens that the last item with NeMo Gym's fields carries; None when there is none."""
    found: Tokens | None = None
    for item in items:
        generation = _ids(item.get("generation_token_ids")) if "generation_token_ids" in item else None
        if generation is not None:
            log_probs = _floats(item.get("generation_log_probs"))
            fits = len(log_probs) == len(generation)
            found = Tokens(_ids(item.get("prompt_token_ids")) or [], generation, log_probs if fits else [])
    return found


def _ids(value: Any) -> list[int] | None:
    if not isinstance(value, list):
        return None
    try:
        return [int(token) for token in value]  # NeMo RL's servers write them as text
    except (TypeError, ValueError):
        return None


def _floats(value: Any) -> list[float]:
    good = isinstance(value, list) and all(isinstance(number, int | float) for number in value)
    return [float(number) for number in value] if good else []


def _content_log_probs(logprobs: Any) -> list[float]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return _floats([entry.get("logprob") for entry in content]) if isinstance(content, list) else []


def _pairs(value: Any) -> tuple[list[int] | None, list[float]]:
    """SGLang's (log probability, token id, text) of each token."""
    if not isinstance(value, list) or not all(isinstance(e, list | tuple) and len(e) >= 2 for e in value):
        return None, []
    return _ids([entry[1] for entry in value]), _floats([entry[0] for entry in value])
