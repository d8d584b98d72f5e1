"""Checkers of verifiable instructions: the 25 of IFEval (Zhou et al. 2023, arXiv:2311.07911) by their public
ids, and those that instruction-following training sets add to them. Written from the definitions."""

from verifiers.instructions import formats, keywords, lengths, more_counts, more_formats, more_words, wholes
from verifiers.instructions.evaluate import Evaluation, check_all, variants
from verifiers.instructions.registry import Result, check, known_ids, problem

__all__ = ["Evaluation", "Result", "check", "check_all", "known_ids", "problem", "variants"]
_LOADED = (formats, keywords, lengths, more_counts, more_formats, more_words, wholes)
