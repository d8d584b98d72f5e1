"""The numbers of a calibration: agreement with the labels, repeatability, bias by position and by length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from gym_mcp.judge import Hearing
from gym_mcp.judging.calibrate import Judged, winner
from gym_mcp.judging.examples import Label, Reading, verifiers
from gym_mcp.metrics.agreement import (
    Kappa,
    Level,
    cohen_kappa,
    confusion,
    krippendorff_alpha,
    per_class,
    sign_test,
    spearman,
)
from gym_mcp.metrics.estimators import mean_interval, wilson_interval
from gym_mcp.types import JSONObject

_PARTS: Final = ("short", "middle", "long")
_CLOSE: Final = 1e-9


def calibration(judged: Sequence[Judged], reading: Reading, answer_field: str) -> JSONObject:
    """Everything that `judge calibrate` shows. `docs/judges.md` describes each field."""
    usable = [j for j in judged if j.failure is None and j.verdict is not None and j.example.label is not None]
    report: JSONObject = {
        "read": reading.kind,
        "examples": len(judged),
        "used": len(usable),
        "unreadable": sum(1 for j in judged if j.failure is None and j.verdict is None),
        "label_ties": sum(1 for j in judged if j.example.label is None),
        "failed": sum(1 for j in judged if j.failure is not None),
        "failure_example": min((j.failure for j in judged if j.failure), default=None),
        "usage": _usage(judged),
    }
    report["votes_unreadable"] = sum(v is None for j in judged for v in (*j.votes, *j.swapped))
    if usable:
        pairs = [(j.example.label, j.verdict) for j in usable]
        report |= _accuracy(pairs, reading, report["unreadable"])
        report |= _classes(pairs, reading)
        if reading.kind == "score":
            report["score"] = _score([(float(t or 0), float(v or 0)) for t, v in pairs])
        report["alpha"] = _alphas([j for j in judged if j.failure is None and j.verdict is not None], reading)
        report["length"] = _length(usable, reading, answer_field)
    report["position"] = _position(judged) if reading.kind == "pair" else None
    report["repeat"] = _repeat(judged, reading)
    return report


def _usage(judged: Sequence[Judged]) -> JSONObject:
    total = Hearing("")
    for one in judged:
        total.usage.add(one.usage.usage)
        total.cached += one.usage.cached
        total.cost = None if total.cost is None or one.usage.cost is None else total.cost + one.usage.cost
    return {**total.usage.as_json(), "cost": total.cost, "cached_calls": total.cached}


def _proportion(successes: int, n: int) -> JSONObject:
    return {"share": successes / n, "ci95": list(wilson_interval(successes, n)), "n": n} if n else {"n": 0}


def _accuracy(pairs: Sequence[tuple[Any, Any]], reading: Reading, unreadable: int) -> JSONObject:
    right = sum(map(_agree, pairs))
    truths = Counter(t for t, _ in pairs)
    return {
        "accuracy": _proportion(right, len(pairs)),
        "accuracy_unreadable_wrong": _proportion(right, len(pairs) + unreadable),
        "most_frequent_label": {
            "label": truths.most_common(1)[0][0],
            "share": truths.most_common(1)[0][1] / len(pairs),
        },
    }


def _agree(pair: tuple[Any, Any]) -> bool:
    """The same class; of scores, less than half a point apart or equal."""
    truth, verdict = pair
    return abs(truth - verdict) < 0.5 - _CLOSE if isinstance(truth, float) else bool(truth == verdict)


def _classes(pairs: Sequence[tuple[Any, Any]], reading: Reading) -> JSONObject:
    """Confusion and kappas; of whole-numbered scores after rounding, of other scores none."""
    if not reading.classes:
        return {}
    named = [(_class(t), _class(v)) for t, v in pairs]
    matrix = confusion([t for t, _ in named], [v for _, v in named], reading.classes)
    found: JSONObject = {
        "classes": list(reading.classes),
        "confusion": matrix,
        "per_class": per_class(matrix, reading.classes),
        "kappa": _kappa(cohen_kappa(matrix)),
    }
    if reading.ordered and len(reading.classes) > 2:
        found["kappa_linear"] = _kappa(cohen_kappa(matrix, "linear"))
        found["kappa_quadratic"] = _kappa(cohen_kappa(matrix, "quadratic"))
    return found


def _class(value: Label) -> str:
    return f"{int(value + 0.5)}" if isinstance(value, float) else value


def _kappa(kappa: Kappa) -> JSONObject:
    return {"value": kappa.value, "ci95": list(kappa.interval) if kappa.interval else None}


def _score(pairs: Sequence[tuple[float, float]]) -> JSONObject:
    errors = [verdict - truth for truth, verdict in pairs]
    interval = mean_interval(errors)
    return {
        "mean_absolute_error": fmean(map(abs, errors)),
        "mean_error": fmean(errors),
        "mean_error_ci95": list(interval) if interval else None,
        "spearman": spearman([t for t, _ in pairs], [v for _, v in pairs]),
    }


def _alphas(usable: Sequence[Judged], reading: Reading) -> JSONObject:
    """Krippendorff's alpha of the people among themselves, and of them and the judge; tied labels count here."""
    code = _coded(reading)
    people = [[code(label) for label in j.example.labels] for j in usable]
    with_judge = [[*labels, code(j.verdict)] for labels, j in zip(people, usable, strict=True)]
    found: JSONObject = {}
    levels: tuple[Level, ...] = ("nominal", "ordinal", "interval") if reading.ordered else ("nominal",)
    for level in levels:
        found[level] = {
            "with_judge": krippendorff_alpha(with_judge, level),
            "people": krippendorff_alpha(people, level),
        }
    return found


def _coded(reading: Reading) -> Callable[[Label | None], float | None]:
    """Labels as numbers, in the order of the classes."""
    places = {name: float(i) for i, name in enumerate(reading.classes)}

    def code(label: Label | None) -> float | None:
        return label if label is None or isinstance(label, float) else places[label]

    return code


def _position(judged: Sequence[Judged]) -> JSONObject | None:
    """Whether the place in which an answer is shown matters."""
    both = [j for j in judged if j.consistent is not None]
    cast = [v for j in judged for v in (*j.votes, *j.swapped) if isinstance(v, float)]
    decided = [v for v in cast if abs(v - 0.5) > _CLOSE]
    first = sum(v > 0.5 for v in decided)
    if not both:
        return None
    return {
        "consistent": _proportion(sum(bool(j.consistent) for j in both), len(both)),
        "first_shown_wins": _proportion(first, len(decided)),
        "p_value": sign_test(*_leaning(both)),
        "always_first": sum(1 for j in both if _both_sides(j) == (1, 1)),
        "always_second": sum(1 for j in both if _both_sides(j) == (-1, -1)),
    }


def _both_sides(judged: Judged) -> tuple[int, int]:
    """Which place wins in each order: 1 the first, -1 the second, 0 none."""
    mean = verifiers("votes").mean_of
    sides = [winner(mean(votes)) for votes in (judged.votes, judged.swapped)]
    one, other = ((side == "first") - (side == "second") for side in sides)
    return one, other


def _leaning(judged: Sequence[Judged]) -> tuple[int, int]:
    """(pairs in which the first place does better over both orders, pairs in which either place does)."""
    sums = [sum(_both_sides(j)) for j in judged]
    return sum(s > 0 for s in sums), sum(s != 0 for s in sums)


def _repeat(judged: Sequence[Judged], reading: Reading) -> JSONObject | None:
    """Whether the same question gets the same answer."""
    asked = [votes for j in judged for votes in (j.votes, j.swapped) if len(votes) > 1]
    if not asked:
        return None
    code = _coded(reading)
    as_pair = reading.kind == "pair"
    named = [[winner(v) if as_pair and isinstance(v, float) else v for v in votes] for votes in asked]
    level: Level = "interval" if reading.kind == "score" else "nominal"
    return {
        "votes": max(map(len, asked)),
        "agreement": verifiers("votes").repeat_agreement(named),
        "unanimous": _proportion(sum(len(set(votes)) == 1 for votes in named), len(named)),
        "alpha": krippendorff_alpha([list(map(code, votes)) for votes in named], level),
    }


def _length(usable: Sequence[Judged], reading: Reading, answer_field: str) -> JSONObject | None:
    if reading.kind == "pair":
        return _length_of_pairs(usable)
    known = [j for j in usable if answer_field in j.example.fields]
    if len(known) < 3:
        return None
    lengths = [float(len(j.example.fields[answer_field])) for j in known]
    order = sorted(range(len(known)), key=lambda i: (lengths[i], known[i].example.id))
    cuts = [round(part * len(order) / 3) for part in range(4)]
    code = _coded(reading)
    errors = [(code(j.verdict) or 0.0) - (code(j.example.label) or 0.0) for j in known]
    parts = {
        name: _part([known[i] for i in order[low:high]], [errors[i] for i in order[low:high]], reading.ordered)
        for name, low, high in zip(_PARTS, cuts, cuts[1:], strict=False)
    }
    rho = spearman(lengths, errors) if reading.ordered else None
    return {"field": answer_field, "by_third": parts, "spearman_length_error": rho}


def _part(judged: Sequence[Judged], errors: Sequence[float], ordered: bool) -> JSONObject:
    right = sum(_agree((j.example.label, j.verdict)) for j in judged)
    return {**_proportion(right, len(judged)), "mean_error": fmean(errors) if ordered and errors else None}


def _length_of_pairs(usable: Sequence[Judged]) -> JSONObject:
    """How often the longer answer wins, for the judge and for people, and how often the judge is right then."""
    counts: Counter[str] = Counter()
    for j in usable:
        longer = _longer(j.example.fields)
        if longer is None:
            continue
        for who, choice in (("people", j.example.label), ("judge", j.verdict)):
            if choice in ("first", "second"):
                counts[f"{who}_decided"] += 1
                counts[f"{who}_longer"] += choice == longer
        if j.example.label in ("first", "second"):
            case = "longer" if j.example.label == longer else "shorter"
            counts[f"{case}_better"] += 1
            counts[f"{case}_right"] += j.verdict == j.example.label
    return {
        "longer_wins": {
            who: _proportion(counts[f"{who}_longer"], counts[f"{who}_decided"]) for who in ("people", "judge")
        },
        "right_when_longer_is_better": _proportion(counts["longer_right"], counts["longer_better"]),
        "right_when_shorter_is_better": _proportion(counts["shorter_right"], counts["shorter_better"]),
    }


def _longer(fields: Mapping[str, str]) -> str | None:
    first, second = len(fields["first"]), len(fields["second"])
    return None if first == second else "first" if first > second else "second"
