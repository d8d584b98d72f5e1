"""Reports made from a run, whatever it is: sentences that are true of it, and what turns each into a false one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from gym_mcp.claims.query import Data, QueryError, Value, evaluate

COUNTS = (
    ("{} rollouts passed", "rollouts(passed)"),
    ("The verifier accepted {} rollouts", "rollouts(passed)"),
    ("{} rollouts did not pass", "rollouts(not passed)"),
    ("{} rollouts called at least one tool", "rollouts(calls > 0)"),
    ("{} rollouts passed without calling a tool", "rollouts(passed and calls == 0)"),
    ("{} rollouts made more than 2 calls", "rollouts(calls > 2)"),
    ("The run holds {} rollouts", "rollouts()"),
    ("There are {} tasks in the run", "tasks()"),
    ("{} tasks pass sometimes", 'bucket("sometimes")'),
    ("{} tasks always pass", 'bucket("always")'),
    ("{} tasks never pass", 'bucket("never")'),
    ("The agent made {} tool calls", "calls()"),
    ("{} tool calls ended in an error", "errors()"),
    ("{} tasks were passed by at least one rollout", "tasks(passed)"),
)
SHARES = (
    ("{} of the rollouts passed", "share(passed)"),
    ("The share of rollouts that did not pass is {}", "share(not passed)"),
    ("pass@1 is {}", "pass_at(1)"),
    ("The pass rate is {}", "pass_rate()"),
    ("{} of the rollouts called a tool", "share(calls > 0)"),
    ("Of the rollouts that called a tool, {} passed", "share(passed, of=calls > 0)"),
)
MEANS = (
    ("A rollout makes {} calls on average", "mean(calls)"),
    ("The mean reward is {}", "mean(reward)"),
    ("A passing rollout makes {} calls on average", "mean(calls, where=passed)"),
)
NONE = (
    ("No rollout was truncated", 'rollouts(stop == "max_output_tokens")'),
    ("No rollout timed out", 'rollouts(failure == "timeout")'),
    ("No rollout looped", 'rollouts(has("loop"))'),
    ("No rollout failed for a technical reason", "rollouts(failed)"),
    ("No tool call ended in an error", "errors()"),
    ("The agent never refused", 'rollouts(has("refusal"))'),
    ("No rollout is missing", 'finding("missing_rollouts")'),
    ("There was no tool outage", 'finding("tool_outage")'),
)
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
)
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def words(n: int) -> str:
    """A number from 0 to 99 in words."""
    if n < len(ONES):
        return ONES[n]
    if n < 20:
        return ["seventeen", "eighteen", "nineteen"][n - 17]
    return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")


def value(query: str, data: Data) -> Value | None:
    """What a query gives; None where nothing fits it."""
    try:
        return evaluate(query, data)
    except QueryError:
        return None


def sentence(template: str, said: str, query: str, stated: str) -> str:
    text = template.format(said)
    return f"{text[0].upper()}{text[1:]} [claim: {query} = {stated}]."


def true_sentences(data: Data) -> Iterator[str]:
    """Sentences that are true of a run, with their evidence."""
    for template, query in COUNTS:
        n = value(query, data)
        if isinstance(n, int) and n > 1:
            yield sentence(template, str(n), query, str(n))
            if n < 100:
                yield sentence(template, words(n), query, str(n))
    for template, query in SHARES:
        share = value(query, data)
        if isinstance(share, float | int) and 0.03 < share < 0.97:
            yield sentence(template, f"{100 * share:.1f}%", query, f"{100 * share:.1f}%")
            yield sentence(template, f"{100 * share:.2f} percent", query, f"{100 * share:.2f}%")
    for template, query in MEANS:
        mean = value(query, data)
        if isinstance(mean, float) and mean > 0.05:
            yield sentence(template, f"{mean:.2f}", query, f"{mean:.2f}")
    for text, query in NONE:
        if value(query, data) == 0:
            yield f"{text} [claim: {query} = 0]."
    yield from _pairs(data)
    yield from _of_tasks(data)
    yield from _quotations(data)


def _pairs(data: Data) -> Iterator[str]:
    whole, won, lost = (int(evaluate(q, data)) for q in ("rollouts()", "rollouts(passed)", "rollouts(not passed)"))
    if min(won, lost) > 1:
        both = f"[claim: rollouts(passed) = {won}] [claim: rollouts(not passed) = {lost}]"
        yield f"Of {whole} rollouts, {won} passed [claim: rollouts() = {whole}] [claim: rollouts(passed) = {won}]."
        yield f"{won} rollouts passed and {lost} did not {both}."
        yield (f"{won} of {whole} rollouts ({100 * won / whole:.1f}%) passed [claim: rollouts(passed) = {won}] "
               f"[claim: rollouts() = {whole}] [claim: share(passed) = {100 * won / whole:.1f}%].")  # fmt: skip
        yield f"All but {lost} rollouts passed [claim: rollouts(not passed) = {lost}]."
        yield f"At least {won - 1} rollouts passed [claim: rollouts(passed) >= {won - 1} = true]."
        yield f"More than {won - 2} rollouts passed [claim: rollouts(passed) = {won}]."
        more, less = ("passed", "not passed") if won > lost else ("not passed", "passed")
        if won != lost:
            which = "More rollouts passed than failed" if won > lost else "More rollouts failed than passed"
            yield f"{which} [claim: rollouts({more}) > rollouts({less}) = true]."
    names = sorted({str(t.data.get("category")) for t in data.scan.tasks} - {"None"})
    rates = [(n, value(f'pass_rate(data.category == "{n}")', data)) for n in names]
    for (a, x), (b, y) in pairwise(rates):
        if not isinstance(x, int | float) or not isinstance(y, int | float) or abs(x - y) < 0.02:
            continue
        high, low = (a, b) if x > y else (b, a)
        qh, ql = (f'pass_rate(data.category == "{n}")' for n in (high, low))
        top, bottom = max(x, y), min(x, y)
        yield f"`{high}` tasks pass more often than `{low}` tasks [claim: {qh} > {ql} = true]."
        yield f"`{low}` tasks pass less often than `{high}` tasks [claim: {ql} < {qh} = true]."
        yield (f"The pass rate is higher for `{high}`, at {100 * top:.1f}%, "
               f"than for `{low}`, at {100 * bottom:.1f}% "
               f"[claim: {qh} = {100 * top:.1f}%] [claim: {ql} = {100 * bottom:.1f}%].")  # fmt: skip
        yield (f"`{high}` is {100 * (top - bottom):.1f} percentage points above `{low}` in pass rate "
               f"[claim: {qh} - {ql} = {100 * (top - bottom):.1f} points].")  # fmt: skip


def _of_tasks(data: Data) -> Iterator[str]:
    n = data.scan.run.sheet.repeats
    for task in data.scan.tasks[:4]:
        won = evaluate(f'rollouts(task == "{task.id}" and passed)', data)
        yield (f"Task `{task.id}` passed in {won} of {n} rollouts "
               f'[claim: rollouts(task == "{task.id}" and passed) = {won}] '
               f'[claim: rollouts(task == "{task.id}") = {n}].')  # fmt: skip


def _quotations(data: Data) -> Iterator[str]:
    from gym_mcp.claims.evidence import place_of
    from gym_mcp.diagnosis.scan import row_at

    for f in [f for f in data.scan.scored if f.said][:40:10]:
        text = place_of(row_at(data.scan.run.directory.rollouts_path, f.offset), "", "output") or ""
        quoted = " ".join(text.split("\n")[-1].split()[:6]).replace('"', '\\"')
        if len(quoted.split()) >= 2 and "[" not in quoted:
            yield f'The agent of `{f.id}` ends in these words [cite: {f.id} output "{quoted}"].'


# -- what makes a true sentence false -----------------------------------------------------------------------

Change = Callable[[str, Data, random.Random], str | None]
NUMBER = re.compile(r"(?<![\w@^.-])\d[\d,]*(?:\.\d+)?(?![\w.]*\w)")
OPPOSITES = (
    (r"\bpassed\b", "failed"), (r"\bfailed\b", "passed"), (r"\bpass\b", "fail"), (r"\bmore\b", "less"),
    (r"\bMore\b", "Fewer"), (r"\bless\b", "more"), (r"\bhigher\b", "lower"), (r"\blower\b", "higher"),
    (r"\babove\b", "below"), (r"\balways\b", "never"), (r"\bnever\b", "always"), (r"\bAt least\b", "At most"),
    (r"\bNo\b", "Every"), (r"\bno\b", "a"), (r"\baccepted\b", "rejected"), (r"\bdid not pass\b", "passed"),
    (r"\bsometimes\b", "never"), (r"\bwithout\b", "after"),
)  # fmt: skip
UNITS = (
    (r"\brollouts\b", "tasks"), (r"\btasks\b", "rollouts"), (r"\bcalls\b", "errors"), (r"\berrors?\b", "refusal"),
    (r"%", " points"), (r" percentage points\b", "%"), (r" percent\b", " points"), (r"\brollouts\b", "users"),
    (r"\bcalls\b", "tokens"), (r"\brollouts\b", "seconds"),
)  # fmt: skip
TRUE_BOUND = re.compile(r"^More than \d")
"""With another number it may be as true."""
PREDICATES = ("timed out", "crashed", "were truncated", "looped", "refused", "ran out of turns", "were cheap")


def _prose(text: str, change: Callable[[str], str]) -> str | None:
    """The sentence with its words changed, its evidence untouched; None where nothing changed."""
    parts = re.split(r"(\[(?:claim|cite):.*\])", text, maxsplit=1)
    changed = change(parts[0])
    return changed + "".join(parts[1:]) if changed != parts[0] else None


def one_number(text: str, data: Data, rng: random.Random) -> str | None:
    """A number of the prose is another."""

    def change(prose: str) -> str:
        places = list(NUMBER.finditer(prose))
        if not places:
            return prose
        m = rng.choice(places)
        if TRUE_BOUND.search(text):
            return prose
        digits = m.group().replace(",", "")
        step = rng.choice((1, 2, 7, 10))
        other = (
            f"{float(digits) + step:.{len(digits.split('.')[1])}f}" if "." in digits else str(int(digits) + step)
        )
        return prose[: m.start()] + other + prose[m.end() :]

    return _prose(text, change)


def thousandfold(text: str, data: Data, rng: random.Random) -> str | None:
    return _prose(
        text, lambda p: NUMBER.sub(lambda m: m.group() + rng.choice((",000", "k", " thousand")), p, count=1)
    )


def tenth(text: str, data: Data, rng: random.Random) -> str | None:
    return _prose(text, lambda p: re.sub(r"(\d)(\d)\.(\d)", r"\1.\2\3", p, count=1))


def swapped_numbers(text: str, data: Data, rng: random.Random) -> str | None:
    def change(prose: str) -> str:
        a, *rest = NUMBER.finditer(prose) if len(NUMBER.findall(prose)) > 1 else [None]
        b = rest[-1] if rest else None
        if a is None or b is None or a.group() == b.group():
            return prose
        return prose[: a.start()] + b.group() + prose[a.end() : b.start()] + a.group() + prose[b.end() :]

    return _prose(text, change)


def false_claim(text: str, data: Data, rng: random.Random) -> str | None:
    """The number is another, in the prose and in the claim."""
    m = re.search(r"= (\d+)(?=[\].%])", text)
    if m is None:
        return None
    old, new = m.group(1), str(int(m.group(1)) + rng.choice((1, 3)))
    return re.sub(rf"(?<![\w.@^-]){old}(?![\w.]*\w)", new, text)


def opposite(text: str, data: Data, rng: random.Random) -> str | None:
    able = [(p, w) for p, w in OPPOSITES if re.search(p, text.split("[")[0])]
    if "sometimes" in text:  # who passes sometimes fails sometimes
        able = [(p, w) for p, w in able if "pass" not in p]
    if not able:
        return None
    pattern, word = rng.choice(able)
    return _prose(text, lambda prose: re.sub(pattern, word, prose, count=1))


def unit(text: str, data: Data, rng: random.Random) -> str | None:
    able = [(p, w) for p, w in UNITS if re.search(p, text.split("[")[0])]
    if " often than " in text or "ended in an error" in text:  # it says the same of rollouts
        return None
    if not able:
        return None
    pattern, word = rng.choice(able)
    return _prose(text, lambda prose: re.sub(pattern, word, prose, count=1))


def predicate(text: str, data: Data, rng: random.Random) -> str | None:
    return _prose(text, lambda p: re.sub(r"\b(?:passed|did not pass)\b", rng.choice(PREDICATES), p, count=1))


def denied(text: str, data: Data, rng: random.Random) -> str | None:
    first = text if text[0] in "`" or text[0].isdigit() else text[0].lower() + text[1:]
    return rng.choice(("It is not the case that ", "It is wrong to say that ", "It is untrue that ")) + first


def other_name(text: str, data: Data, rng: random.Random) -> str | None:
    def change(prose: str) -> str:
        m = re.search(r"`([^`]+)`", prose)
        names = [t.id for t in data.scan.tasks if t.id not in text]
        return prose if m is None or not names else prose.replace(m.group(1), rng.choice(names), 1)

    return _prose(text, change)


def other_query(text: str, data: Data, rng: random.Random) -> str | None:
    """True claims of the same number, about something else."""
    swaps = (("rollouts(passed)", "rollouts(calls > 0)"), ("rollouts(not passed)", "rollouts(calls == 0)"),
             ("rollouts()", "calls()"), ("share(passed)", "share(calls > 0)"))  # fmt: skip
    for one, other in swaps:
        if f"claim: {one} =" in text and value(one, data) == value(other, data):
            return text.replace(f"claim: {one} =", f"claim: {other} =")
    return None


def altered_quote(text: str, data: Data, rng: random.Random) -> str | None:
    m = re.search(r'output "([^"]+)"', text)
    return None if m is None else text.replace(m.group(1), m.group(1).rsplit(" ", 1)[0] + " otherwise")


def other_rollout(text: str, data: Data, rng: random.Random) -> str | None:
    m = re.search(r"cite: (\S+)", text)
    if m is None:
        return None
    others = [f for f in data.scan.scored if f.id != m.group(1)]
    return text.replace(f"cite: {m.group(1)}", f"cite: {rng.choice(others).id}", 1)


def uncited(text: str, data: Data, rng: random.Random) -> str | None:
    return re.sub(r"\s*\[(?:claim|cite):.*\]", "", text)


HIDDEN = (
    "<!-- {} -->", "## {}", "| what | \n| --- |\n| {} |", "Text[^1] follows.\n\n[^1]: {}", "![{}](a.png)",
    "[{}](http://a.b/c)", "> {}", "- {}", "<p>{}</p>", "<img alt='{}'>", "Note: {}", "**{}**", "`{}` {evidence}",
    "The tables follow. {}", "{}\n======",
)  # fmt: skip


def hidden(text: str, data: Data, rng: random.Random) -> str | None:
    """Without evidence, where it is easily overlooked."""
    plain = re.sub(r"\s*\[(?:claim|cite):.*\]", "", text).rstrip(".")
    if "`" in plain or not re.search(r"\d", plain):
        return None
    return rng.choice([h for h in HIDDEN if "{evidence}" not in h]).format(plain)


def other_digits(text: str, data: Data, rng: random.Random) -> str | None:
    """Another number in digits of another script."""
    kind = rng.choice(("０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩"))

    def change(prose: str) -> str:
        m = NUMBER.search(prose)
        if m is None or not m.group().isdigit() or TRUE_BOUND.search(text):
            return prose
        other = "".join(kind[int(c)] for c in str(int(m.group()) + 1))
        return prose[: m.start()] + other + prose[m.end() :]

    return _prose(text, change)


def in_words(text: str, data: Data, rng: random.Random) -> str | None:
    """Another number in words."""

    def change(prose: str) -> str:
        m = NUMBER.search(prose)
        if m is None or not m.group().isdigit() or int(m.group()) > 97 or TRUE_BOUND.search(text):
            return prose
        return prose[: m.start()] + words(int(m.group()) + rng.choice((1, 2))) + prose[m.end() :]

    return _prose(text, change)


def look_alike(text: str, data: Data, rng: random.Random) -> str | None:
    return _prose(text, lambda p: re.sub(r"pass", "fаil", p, count=1))


CHANGES: tuple[Change, ...] = (
    one_number, thousandfold, tenth, swapped_numbers, false_claim, opposite, unit, predicate, denied, other_name,
    other_query, altered_quote, other_rollout, uncited, hidden, other_digits, in_words, look_alike,
)  # fmt: skip


def false_sentences(data: Data, seed: int) -> Iterator[tuple[str, str]]:
    """(which change, a sentence that is false of the run or that its evidence does not show)."""
    rng = random.Random(seed)
    for text in true_sentences(data):
        for change in CHANGES:
            changed = change(text, data, rng)
            if changed is not None and changed != text:
                yield change.__name__, changed
