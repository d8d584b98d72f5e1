"""Mathematical equality: notations, bare answers and whole replies, and expressions that never end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.math import MathResult, strip_delimiters, verify_math, verify_math_async

HUGE = "9^{9^{9^{9}}}"

EQUAL = [
    # fractions, decimals, mixed numbers
    ("3/8", "0.375"),
    (r"\frac{3}{8}", "3/8"),
    (r"\frac38", r"\dfrac{3}{8}"),
    (r"2\frac{1}{4}", "2.25"),
    (r"2\frac{1}{4}", "9/4"),
    (".25", "0.25"),
    ("7", "7."),
    ("7", "7.000"),
    ("-4", "\u22124"),
    ("2/3", "0.666667"),
    # thousands, scientific notation, powers
    ("12,500", "12500"),
    ("4.2e4", "42000"),
    (r"4.2 \times 10^4", "42000"),
    ("2^{12}", "4096"),
    # percentages, currency, units, degrees
    (r"30\%", "0.3"),
    ("30", r"30\%"),
    (r"30\%", "30"),
    (r"\$18", "18"),
    ("18", "$18"),
    (r"7 \text{ km}", "7"),
    ("7", "7 km"),
    (r"45^\circ", "45"),
    # roots, constants, algebra
    (r"3\sqrt{2}", r"\sqrt{18}"),
    (r"3\sqrt{2}", "3*sqrt(2)"),
    (r"\pi/2", "pi/2"),
    ("x^2-1", "(x-1)(x+1)"),
    ("x^{3}", "x**3"),
    ("2+5i", "5i+2"),
    ("n(n+1)/2", r"\frac{n^2+n}{2}"),
    # equations
    ("k=12", "12"),
    ("12", "k = 12"),
    ("y=3x-2", "y = -2 + 3x"),
    # sets, tuples, intervals, matrices
    (r"\{1, 4, 9\}", r"\{9,4,1\}"),
    ("1, 4, 9", "9, 1, 4"),
    (r"\pm 6", "6, -6"),
    ("(2, 5)", r"\left(2,5\right)"),
    ("[-1, 3)", "[-1,3)"),
    (r"(-\infty, 4]", r"x \le 4"),
    (r"x > 2", r"(2, \infty)"),
    (r"(0,1) \cup (3,4)", r"(3,4)\cup(0,1)"),
    (r"\emptyset", r"\varnothing"),
    (r"\infty", "infinity"),
    (r"\begin{pmatrix}1&0\\0&2\end{pmatrix}", r"\begin{pmatrix} 1 & 0 \\ 0 & 2 \end{pmatrix}"),
    # words and labels
    (r"\text{odd}", "odd"),
    ("odd", r"\text{Odd}"),
    ("D", r"\text{(D)}"),
    # delimiters and markdown
    ("9", "$9$"),
    ("9", r"\(9\)"),
    ("9", r"\[ 9 \]"),
    ("$9$", "9"),
    (r"\(\frac{9}{2}\)", "4.5"),
    ("9", "**9**"),
    (r"\boxed{9}", "9"),
]

DIFFERENT = [
    ("3/8", "0.37"),
    ("2", r"2\sqrt{2}"),
    ("1", "[0,1]"),
    ("(2,5)", "(5,2)"),
    ("(2,5)", "[2,5]"),
    (r"\{1,2\}", r"\{1,2,3\}"),
    ("30%", "30.5%"),
    ("0.3%", "30%"),
    ("11/2", "1 1/2"),
    ("12", "1 2"),
    ("x+1", "x-1"),
    ("4", "-4"),
    (r"\sin x", r"\cos x"),
    ("odd", "even"),
    ("5", ""),
    ("", "5"),
    ("", ""),
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal(gold: str, answer: str) -> None:
    result = verify_math(answer, gold)
    assert result.score == 1.0, result


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different(gold: str, answer: str) -> None:
    result = verify_math(answer, gold)
    assert result.score == 0.0, result


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("We get 3 + 4 = 7, so $\\boxed{7}$.", 1.0),
        (r"First 9, then \boxed{\frac{14}{2}}", 1.0),
        ("The answer is 7.", 1.0),
        ("The answer is $7$, not 8.", 1.0),
        ("It must be\n\\[ x = 7 \\]", 1.0),
        (r"\boxed{\boxed{7}}", 1.0),
        (r"\boxed{8}, and certainly not 7", 0.0),
        ("no idea", 0.0),
        (r"\boxed{", 0.0),
    ],
)
def test_replies(reply: str, score: float) -> None:
    assert verify_math(reply, "7", form="reply").score == score


def test_the_form_is_declared() -> None:
    assert verify_math(r"2\sqrt{2}", "2", form="reply").score == 1.0  # the published rule: the last number
    assert verify_math(r"2\sqrt{2}", "2", form="answer").score == 0.0
    assert verify_math(r"2\sqrt{2}", r"\sqrt 8", form="answer").score == 1.0


def test_extracted_and_notes() -> None:
    assert verify_math(r"so \boxed{\frac{2}{4}}", "0.5") == MathResult(1.0, "equal", "1/2")
    assert verify_math(r"so \boxed{3}", "0.5") == MathResult(0.0, "not equal", "3")
    assert verify_math("the answer?", "0.5") == MathResult(0.0, "no answer found", None)
    assert verify_math("5", " $$ ").note == "the gold answer is empty"


@pytest.mark.parametrize("text", ["$5$", "$$5$$", r"\(5\)", r"\[ 5 \]", " 5 "])
def test_strip_delimiters(text: str) -> None:
    assert strip_delimiters(text) == "5"


def test_delimiters_inside_stay() -> None:
    assert strip_delimiters("$5$ or $6$") == "$5$ or $6$"
    assert strip_delimiters("$") == "$"


def test_what_never_ends_is_killed_and_the_next_answer_is_right() -> None:
    started = time.monotonic()
    assert verify_math("5", HUGE, timeout=0.5) == MathResult(
        0.0, "could not be compared: no answer in 0.5 s", None
    )
    assert time.monotonic() - started < 10
    assert verify_math("5", "5.0").score == 1.0


def test_threads_share_the_workers() -> None:
    pairs = [(str(i), str(i % 7) + ".0") for i in range(40)]
    with ThreadPoolExecutor(8) as threads:
        scores = list(threads.map(lambda pair: verify_math(*pair).score, pairs))
    assert scores == [float(i == i % 7) for i in range(40)]


def test_async_does_not_block_the_loop() -> None:
    async def both() -> tuple[MathResult, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        result = await verify_math_async(HUGE, "5", timeout=0.5, form="answer")
        ticking.cancel()
        return result, ticks

    result, ticks = asyncio.run(both())
    assert result.note.startswith("could not be compared")
    assert ticks >= 10


def test_without_the_package_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['math_verify'] = None\n"
        "from verifiers.math import verify_math\n"
        "try:\n    verify_math('1', '1')\n"
        "except ModuleNotFoundError as e:\n    sys.exit(str(e))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=30)
    assert done.stderr.strip() == "math answers need math-verify: pip install 'gym-mcp[math]'"


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gets_a_score(text: str) -> None:
    for form in ("reply", "answer"):
        assert verify_math(text, "17", form=form, timeout=5.0).score in (0.0, 1.0)
