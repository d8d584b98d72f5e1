"""Grading programs: the rules of comparison, extraction, and candidates that try to pass without solving."""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers import code, code_extract, code_prelude, code_values
from verifiers.code import FunctionCall, Grader, same_output, same_value
from verifiers.code_extract import Fence, Think, extract_program, leaks_thinking, strip_thinking
from verifiers.sandbox import MIB, Limits
from verifiers.sandbox_local import LocalProvider

pytestmark = pytest.mark.slow

QUICK = Grader(limits=Limits(seconds=2, memory=512 * MIB, output=MIB))
REPLY = "Try:\n```python\na = 1\n```\nor\n```\nb = 2\n```\nor\n```py\nc = 3\n```\n"
SQUARES = [("3\n", "9\n"), ("5\n", "25\n")]
SQUARE = "def square(n): return n * n"
CALLS = [FunctionCall([3], 9), FunctionCall([5], 25)]
UNITS = ["assert square(3) == 9", "assert candidate(5) == 25"]

CHEATS = {
    "exits": "import os; os._exit(0)",
    "raises SystemExit": "def square(n): raise SystemExit(0)",
    "always equal": "class E:\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
    "    __hash__ = None\ndef square(n): return E()",
    "equal int": "class E(int):\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
    "    __hash__ = int.__hash__\ndef square(n): return E(1)",
    "patches": "import builtins, json, sys\nbuiltins.AssertionError = Exception\nbuiltins.all = lambda x: True\n"
    "json.dumps = lambda v: '{\"ok\": true}'\nsys.exit = None\ndef square(n): return 1",
    "writes verdicts": "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'ok\\nok\\n' * 9)\n"
    "    except OSError: pass\ndef square(n): return 1",
    "looks for the tests": "import gc, sys, os\n"
    "found = [o for o in gc.get_objects() if isinstance(o, dict) and 'tests' in o]\n"
    "f = sys._getframe()\nwhile f: f = f.f_back\n"
    "names = [n for d, _, ns in os.walk('/work') for n in ns if 'test' in n]\n"
    "def square(n): return 25 if names or found else 1",
    "names of the tests": "def candidate(n): return n * n\ndef print(*a): pass\ndef len(x): return 1\n"
    "def square(n): return 1",
    "hangs": "def square(n):\n    while True: pass",
    "floods": "def square(n):\n    while True: print('y' * 1_000_000, flush=True)",
    "forks": "import os\ndef square(n):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "exhausts": "def square(n):\n    x = []\n    while True: x.append(bytearray(10_000_000))",
    "syntax": "def square(n:",
    "nothing": "",
    "nested": "def square(n):\n    x = []\n    for _ in range(100_000): x = [x]\n    return x",
    "endless iterator": "import itertools\ndef square(n): return itertools.count()",
    "signals": "import os\ndef square(n):\n    os.kill(os.getppid(), 9); os.kill(-1, 9)",
    "stops": "import os, signal\ndef square(n): os.kill(os.getpid(), signal.SIGSTOP)",
    "is deaf": "import signal\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\n"
    "def square(n):\n    while True: pass",
    "leaves daemons": "import os, time\ndef square(n):\n    if os.fork() == 0:\n        os.setsid()\n"
    "        if os.fork() == 0: time.sleep(1000)\n        os._exit(0)\n    os.closerange(0, 100)\n    return 1",
    "has last words": "import atexit, os\n@atexit.register\ndef _():\n    for fd in range(20):\n"
    "        try: os.write(fd, b'ok\\n')\n        except OSError: pass\ndef square(n): raise SystemExit",
    "links": "import os\nfor name in os.listdir('.') + ['tests.json', 'plan.json', 'stdin']:\n"
    "    try: os.remove(name)\n    except OSError: pass\n    try: os.symlink('/proc/1/environ', name)\n"
    "    except OSError: pass\ndef square(n): return open('tests.json').read()",
    "floods both": "import os, threading\ndef flood(fd):\n    while True: os.write(fd, b'y' * 65536)\n"
    "def square(n):\n    threading.Thread(target=flood, args=(2,), daemon=True).start()\n    flood(1)",
}


@pytest.mark.parametrize(
    ("fence", "expected"),
    [
        ("last_two_marks", "c = 3"),
        ("last", "c = 3\n"),
        ("last_python", "c = 3\n"),
        ("first_python", "a = 1\n"),
        ("none", REPLY),
    ],
)
def test_which_block(fence: Fence, expected: str) -> None:
    assert extract_program(REPLY, fence) == expected


@pytest.mark.parametrize(
    ("text", "marks", "last"),
    [
        ("", None, None),
        ("no fence", None, None),
        ("```python\nopen = 1\n", None, None),
        ("```a```\nx\n```b```", "x", None),
        ("```\nx\n```", "x", "x\n"),
        ("```\n```", "", ""),
        ("```python\nx\n```\nsee `y` and ```z```", "", "x\n"),
        ("  ```python\n  x\n  ```", "  x", "  x\n"),
    ],
)
def test_fences_at_their_edges(text: str, marks: str | None, last: str | None) -> None:
    assert (extract_program(text), extract_program(text, "last")) == (marks, last)


def test_thinking() -> None:
    text = "<think>```\na\n```</think>\n```\nb\n```"
    assert strip_thinking(text).strip() == "```\nb\n```"
    assert strip_thinking("a</think>b") == "b" and strip_thinking("b<think>a") == "b"
    assert leaks_thinking(text) and not leaks_thinking("I think")
    assert extract_program("```\nx\n```<think>", think="strip") == "x"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["```", "python", "\n", "x", "<think>", "</think>", " ", "\ud800", "\x00"])))
def test_extraction_never_raises(pieces: list[str]) -> None:
    for fence in get_args(Fence):
        for think in get_args(Think):
            extract_program("".join(pieces), fence, think)


def test_extraction_takes_linear_time() -> None:
    started = time.process_time()
    for piece in ("```", "```python\n", "<think>", "</think>", "``` ", "\n```x\n"):
        extract_program(piece * 50_000, "last", "strip")
        extract_program(piece * 50_000)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ("1\n2\n", "1\n2", True),
        ("  1 \r\n2\t\n\n", "1\n2\n", True),
        ("1\n\n2", "1\n2", False),
        ("1 2", "1  2", True),
        ("a b", "a  b", False),
        ("1.0 2", "1 2.00", True),
        ("1e3", "1000", True),
        ("0.1", "0.10000001", False),
        ("YES", "yes", False),
        ("", "", True),
        ("", "1", False),
        ("nan", "nan", True),
        ("sNaN 1", "sNaN  1", False),
        ("12\n", "1\n2\n", False),
    ],
)
def test_same_output(actual: str, expected: str, same: bool) -> None:
    assert same_output(actual, expected) is same


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ((1, 2), [1, 2], True),
        ([(1,), (2,)], [[1], [2]], True),
        ([1, 2], [2, 1], False),
        (1.0000001, 1, True),
        ([0.1 + 0.2], [0.3], True),
        (1.1, 1, False),
        (True, 1, True),
        ("1", 1, False),
        ({"1": 2}, {"1": 2}, True),
        ({1: 2}, {"1": 2}, True),
        (None, None, True),
        (None, 0, False),
        (10**400, 10**400, True),
        (10**400, 1.0, False),
        (float("inf"), float("inf"), True),
        ({1, 2}, [1, 2], False),
    ],
)
def test_same_value(actual: Any, expected: Any, same: bool) -> None:
    assert same_value(actual, expected) is same


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**70,
        1.5,
        "ä\ud800",
        [1, [2]],
        (1, (2,)),
        {1, 2},
        frozenset({3}),
        {(1, 2): {"a": b"x"}},
        2 + 3j,
    ],
)
def test_values_cross_with_their_types(value: Any) -> None:
    back = code_values.loads(code_values.dumps(value))
    assert back == value and type(back) is type(value)


def test_other_values_cross_as_opaque() -> None:
    assert isinstance(code_values.loads(code_values.dumps(object())), code_values.Opaque)
    assert list(code_values.loads(code_values.dumps(iter([1, 2])))) == [1, 2]
    for text in ('{"call": 1}', '{"a": 1, "b": 2}', "[", '{"set": [[1]]}', '{"bytes": "zz"}', "[" * 100_000):
        with pytest.raises(ValueError):
            code_values.loads(text)


def test_input_and_output() -> None:
    assert QUICK.io_tests("print(int(input()) ** 2)", SQUARES).score == 1.0
    result = QUICK.io_tests("n = int(input())\nprint(9 if n == 3 else 0)", [*SQUARES, ("3", "9")])
    assert (result.passed, result.total, result.score, result.note) == (1, 3, 0.0, "test 2: another output")
    everything = Grader(limits=QUICK.limits, stop_early=False)
    assert everything.io_tests("print(9, end='')", [*SQUARES, ("3", "9")]).fraction == pytest.approx(2 / 3)
    assert QUICK.io_tests("1 / 0", SQUARES).note == "test 1: exit code 1: ZeroDivisionError: division by zero"
    assert QUICK.io_tests("print(9)\nexit(1)", SQUARES[:1]).score == 0.0
    assert QUICK.io_tests("", []).score == 0.0


@pytest.mark.parametrize("namespaces", [True, False])
def test_runs_do_not_meet(namespaces: bool) -> None:
    program = """
import os, sys
assert os.listdir(".") == [] and not hasattr(os, "seen") and sys.argv == ["program.py"]
os.seen = True
os.makedirs("a/b", mode=0o700)
open("a/b/left", "w").write("x")
os.chmod("a", 0)
print(input())
print("ended by itself", file=sys.stderr)
"""
    grader = Grader(limits=QUICK.limits, provider=LocalProvider(namespaces=namespaces))
    result = grader.io_tests(program, [(f"{i}ä\n", f"{i}ä") for i in range(4)])
    assert result.score == 1.0, result.note
    fails = grader.io_tests("print(input()[5])", [("123456", "6"), ("12", "")])
    assert fails.note == "test 2: exit code 1: IndexError: string index out of range"


def test_each_limit_is_for_one_run() -> None:
    quick = Grader(limits=Limits(seconds=0.5, memory=512 * MIB, output=1_000), stop_early=False)
    program = "import time\nn = input()\nif n == 's': time.sleep(9)\nif n == 'o': print('y' * 2_000)\nprint(n)"
    result = quick.io_tests(program, [("s", "s"), ("1", "1"), ("o", "o"), ("2", "2")])
    assert (result.passed, result.note) == (2, "test 1: ended for its time")
    assert quick.io_tests(program, [("o", "o"), ("1", "1")]).note == "test 1: ended for its output"


def test_contest_programs_may_forget_imports() -> None:
    program = "from __future__ import annotations\nn = int(input())\nprint(reduce(lambda a, b: a * b, [n] * 2))"
    assert QUICK.io_tests(program, SQUARES).score == 1.0
    assert QUICK.io_tests("print(floor(pow(int(sys.stdin.read()), 2)))", SQUARES).score == 1.0
    assert code_prelude.prelude("print(1)").count("\n") == 2
    assert "datetime.datetime" not in code_prelude.prelude("import os")


@pytest.mark.parametrize(
    "program",
    [
        SQUARE,
        "class Solution:\n    def square(self, n: int) -> List[int]:\n        return n ** 2",
        "square = lambda n: n * n",
    ],
)
def test_calls(program: str) -> None:
    assert QUICK.call_tests(program, "square", CALLS) == code.CodeResult(2, 2, "all 2 tests passed")


def test_calls_that_fail() -> None:
    assert QUICK.call_tests("def square(n): return 9", "square", CALLS).note == "test 2: another value"
    assert QUICK.call_tests("def cube(n): return 9", "square", CALLS).note == "test 1: KeyError: 'square'"
    assert QUICK.call_tests("import nothing", "square", CALLS).note.startswith("test 1: ModuleNotFoundError")
    assert QUICK.call_tests("def square(n): print(n); return n * n", "square", CALLS).score == 1.0


def test_unit_tests() -> None:
    tests = [*UNITS, "assert square(2) == 5", "try: square('x')\nexcept TypeError: pass\nelse: raise ValueError"]
    result = QUICK.unit_tests(SQUARE, tests, entry_point="square", setup="import math")
    assert (result.passed, result.total) == (3, 4) and result.note == "test 3: AssertionError: "
    whole = (
        "def check(f):\n    assert f(2) == 4\n    assert [f(i) for i in range(3)] == [0, 1, 4]\ncheck(candidate)"
    )
    assert QUICK.unit_tests(SQUARE, [whole], entry_point="square").score == 1.0
    builtin = "def sum(a, b): return a + b"
    assert QUICK.unit_tests(builtin, ["assert sum(1, 2) == 3"], entry_point="sum").score == 1.0


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_do_not_pass(name: str) -> None:
    quick = Grader(limits=Limits(seconds=0.3, memory=512 * MIB, output=MIB))
    started = time.monotonic()
    assert quick.call_tests(CHEATS[name], "square", CALLS).passed == 0
    assert quick.io_tests(CHEATS[name], SQUARES).passed == 0
    assert time.monotonic() - started < 10


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEATS)
def test_cheats_do_not_pass_unit_tests(name: str) -> None:
    quick = Grader(limits=Limits(seconds=0.3, memory=512 * MIB, output=MIB))
    assert quick.unit_tests(CHEATS[name], UNITS, entry_point="square").passed == 0


@settings(max_examples=15, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_no_program_raises(text: str) -> None:
    assert QUICK.io_tests(text, SQUARES).score == 0.0
    assert QUICK.call_tests(text, "square", CALLS).score == 0.0


def test_they_import_nothing_of_ours() -> None:
    for module in (code, code_extract, code_prelude, code_values):
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        names = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not any(name.startswith("gym_mcp") for name in names)
