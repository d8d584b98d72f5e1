"""Grades a program against tests, each in a sandbox: input and output, function calls, or unit tests.

A candidate never shares a process with an expected value: outputs and results are compared out here, and unit
tests run in a sandbox of their own. So nothing it patches, reads or ends early can make it pass.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import selectors
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException
from functools import cache
from pathlib import Path
from typing import Any, Final

from verifiers import code_values
from verifiers.code_prelude import prelude
from verifiers.sandbox import MIB, Job, Limits, SandboxError
from verifiers.sandbox_local import Collector, LocalProvider, as_file

CONTEST: Final = Limits(seconds=10.0, memory=4_096 * MIB)
"""LiveCodeBench-like limits of one test."""
_GRACE: Final = 5.0
"""Seconds beyond the tests' own, for all of them together."""
_RELATIVE, _ABSOLUTE = 1e-5, 1e-8


@dataclass(frozen=True, slots=True)
class CodeResult:
    """How many of `total` tests a program passed, and what the first failure was.

    With `stop_early`, tests after the first failure were not run and count as not passed.
    """

    passed: int
    total: int
    note: str

    @property
    def score(self) -> float:
        """1.0 if every test passed, and there was one."""
        return float(0 < self.total == self.passed)

    @property
    def fraction(self) -> float:
        """Share of the tests that passed."""
        return self.passed / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call-based test: positional arguments and the value that must come back."""

    arguments: Sequence[Any]
    expected: Any


@dataclass(frozen=True, slots=True)
class Run:
    """What a program wrote, its exit code, and the limit that ended it, if any."""

    stdout: str
    stderr: str
    exit_code: int
    killed_by: str | None

    def problem(self, expected: str) -> str:
        """Why this is no pass; empty if it is one."""
        if self.killed_by is not None:
            return f"ended for its {self.killed_by}"
        if self.exit_code != 0:
            return f"exit code {self.exit_code}: {self.stderr.strip().rpartition(chr(10))[2][:200]}"
        return "" if same_output(self.stdout, expected) else "another output"


class _CannotFork(Exception):
    """The containment allows no more than one process."""


@dataclass(frozen=True, slots=True)
class Grader:
    """How programs are run: the limits of one test, packages they may import, and where they run."""

    limits: Limits = CONTEST
    packages: tuple[str, ...] = ()
    stop_early: bool = True
    with_prelude: bool = True
    provider: LocalProvider = field(default_factory=LocalProvider)

    def io_tests(self, program: str, cases: Sequence[tuple[str, str]]) -> CodeResult:
        """Each case is (stdin, expected stdout); the program runs anew for each."""
        passed, note = 0, ""
        runs = self._runs(program, [stdin for stdin, _ in cases])
        with contextlib.closing(runs):
            for number, (run, (_, expected)) in enumerate(zip(runs, cases, strict=False), 1):
                problem = run.problem(expected)
                passed += not problem
                note = note or (f"test {number}: {problem}" if problem else "")
                if problem and self.stop_early:
                    break
        return CodeResult(passed, len(cases), note or f"all {len(cases)} tests passed")

    def _runs(self, program: str, inputs: Sequence[str]) -> Generator[Run, None, None]:
        """The program's run on each input; ends early with a run that says why."""
        imports = prelude(program) if self.with_prelude else ""
        if len(inputs) > 1:
            try:
                yield from self._forked(program, imports, inputs)
                return
            except _CannotFork:
                pass
        deadline = time.monotonic() + (self.limits.seconds + 1) * len(inputs) + _GRACE
        for stdin in inputs:
            if time.monotonic() > deadline:
                yield Run("", "", 0, "time")
                return
            data = stdin.encode("utf-8", "surrogatepass")
            job = Job(program, data, self.limits, packages=self.packages, prelude=imports)
            done = self.provider.run(job)
            yield Run(done.text, done.error_text, done.exit_code, done.killed_by)

    def _forked(self, program: str, imports: str, inputs: Sequence[str]) -> Iterator[Run]:
        """All runs in one sandbox."""
        limits = self.limits
        plan = {
            "program": program,
            "prelude": imports,
            "seconds": limits.seconds,
            "cpu_seconds": limits.cpu_seconds or limits.seconds,
            "output": limits.output,
        }
        sent = b"".join(json.dumps(stdin).encode() + b"\n" for stdin in inputs)
        files = {"plan.json": json.dumps(plan).encode()}
        with self._talk("code_runner.py", files, sent, len(inputs)) as (collector, fd, replies):
            for _ in inputs:
                line = _line(collector, fd, replies, limits.seconds + _GRACE)
                if line is None:
                    if "no-fork" in collector.check()["contained"]:
                        raise _CannotFork
                    yield Run("", "", -9, None)
                    return
                yield _run(line)

    def call_tests(self, program: str, function: str, cases: Sequence[FunctionCall]) -> CodeResult:
        """Call `function` (or the method of that name of a class `Solution`) once a case, all in one process."""
        requests = b"".join(_request(function, case.arguments) for case in cases)
        passed, note = 0, ""
        files = self._files(program)
        with self._talk("code_candidate.py", files, requests, len(cases)) as (collector, fd, replies):
            for number, case in enumerate(cases, 1):
                line = _line(collector, fd, replies, self.limits.seconds + (1.0 if number == 1 else 0.0))
                if line is None:
                    collector.check()
                problem = _call_problem(line, case.expected)
                passed += not problem
                note = note or (f"test {number}: {problem}" if problem else "")
                if problem and (self.stop_early or line is None):
                    break
        return CodeResult(passed, len(cases), note or f"all {len(cases)} tests passed")

    @contextlib.contextmanager
    def _talk(
        self, script: str, files: dict[str, bytes], requests: bytes, tests: int
    ) -> Iterator[tuple[Collector, int, bytearray]]:
        """Start a script of ours with `requests` to read; its collector, and where its replies come in."""
        read, write = os.pipe()
        replies = bytearray()
        with open(read, "rb", buffering=0) as stream, as_file(requests) as sent:
            try:
                job = self._guest(script, files, [sent.fileno(), write], tests)
                process = self.provider.start(job)
            finally:
                os.close(write)
            with process, contextlib.closing(Collector(process)) as collector:
                collector.watch(stream.fileno(), replies)
                yield collector, read, replies

    def _files(self, program: str) -> dict[str, bytes]:
        imports = prelude(program) if self.with_prelude else ""
        return {"candidate.py": program.encode("utf-8", "surrogatepass"), "prelude.py": imports.encode()}

    def _guest(self, script: str, files: dict[str, bytes], channels: list[int], tests: int) -> Job:
        limits = self.limits
        seconds = (limits.seconds + 1) * max(tests, 1) + _GRACE
        output = 8 * limits.output  # a reply is text in JSON, at six bytes a character
        whole = dataclasses.replace(limits, seconds=seconds, cpu_seconds=None, output=output)
        files = {**files, "code_values.py": _source("code_values.py").encode()}
        return Job(
            _source(script),
            limits=whole,
            files=files,
            packages=self.packages,
            channels=channels,
            prelude="import os, sys; sys.path.insert(0, os.getcwd())",
            name="harness.py",
        )

    def unit_tests(
        self, program: str, tests: Sequence[str], *, entry_point: str = "", setup: str = ""
    ) -> CodeResult:
        """Each test is Python code that must not raise; `setup` runs before them, once.

        Tests see the program's functions by name, unless it is a builtin's or `setup`'s, and `entry_point` in any
        case, as `candidate` too. Arguments and results
        cross between two processes by value: what is no plain data (see `code_values`) cannot, nor can changes
        that a function makes to its arguments.
        """
        plan = {"setup": setup, "tests": list(tests), "entry_point": entry_point}
        results = self._play(program, code_values.dumps(plan).encode(), len(tests))
        passed = sum(line == "ok" for line in results)
        failures = [f"test {i}: {line}" for i, line in enumerate(results, 1) if line != "ok"]
        if len(results) < len(tests):
            failures.append(f"test {len(results) + 1}: not finished in time")
        return CodeResult(passed, len(tests), failures[0] if failures else f"all {len(tests)} tests passed")

    def _play(self, program: str, plan: bytes, tests: int) -> list[str]:
        """Run candidate and tester, joined by pipes; the tester's lines."""
        with contextlib.ExitStack() as stack:
            pipes = _pipes(stack, 3)
            request_r, request_w, reply_r, reply_w, result_r, result_w = pipes
            selector = stack.enter_context(selectors.DefaultSelector())
            candidate = self._guest("code_candidate.py", self._files(program), [request_r, reply_w], tests)
            held = stack.enter_context(self.provider.start(candidate))
            channels = [request_w, reply_r, result_w]
            tester = self._guest("code_tester.py", {"tests.json": plan}, channels, tests)
            testing = stack.enter_context(self.provider.start(tester))
            for fd in (request_r, request_w, reply_r, reply_w, result_w):
                pipes.remove(fd)  # its number may be another thread's a moment later
                os.close(fd)
            results = bytearray()
            Collector(held, selector)
            collector = Collector(testing, selector)
            collector.watch(result_r, results)
            deadline = time.monotonic() + tester.limits.seconds + _GRACE
            while collector.watches(result_r) and time.monotonic() < deadline:
                collector.step(1.0)
            collector.check()
            return results.decode("utf-8", "replace").splitlines()[:tests]


def same_output(actual: str, expected: str) -> bool:
    """Line by line, outer white space aside: equal, or equal as decimal numbers, token by token."""
    lines, wanted = _lines(actual), _lines(expected)
    if len(lines) != len(wanted):
        return False
    return all(a == b or _same_numbers(a, b) for a, b in zip(lines, wanted, strict=True))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _same_numbers(a: str, b: str) -> bool:
    try:
        return [Decimal(token) for token in a.split()] == [Decimal(token) for token in b.split()]
    except DecimalException:
        return False


def same_value(actual: Any, expected: Any) -> bool:
    """Equal once tuples are lists; or the same JSON text; or numbers that are close, at any depth."""
    actual, expected = _listed(actual), _listed(expected)
    try:
        if actual == expected or json.dumps(actual) == json.dumps(expected):
            return True
    except (TypeError, ValueError):
        return False
    return _close(actual, expected)


def _listed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_listed(v) for v in value]
    return value


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_close(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float):
        try:
            return math.fabs(a - b) <= _ABSOLUTE + _RELATIVE * math.fabs(b)
        except OverflowError:
            return bool(a == b)
    return bool(a == b)


def _run(line: bytes) -> Run:
    try:
        said = json.loads(line)
        killed = None if said["killed"] is None else str(said["killed"])
        return Run(str(said["stdout"]), str(said["stderr"]), int(said["exit"]), killed)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Run("", "a result that is none", 1, None)


def _call_problem(line: bytes | None, expected: Any) -> str:
    if line is None:
        return "no answer in time"
    try:
        reply = code_values.loads(line)
        if "ok" in reply:
            return "" if same_value(reply["ok"], expected) else "another value"
        return f"{reply['raised']}: {reply['text']}"[:300]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "an answer that is none"


def _line(collector: Collector, fd: int, buffer: bytearray, seconds: float) -> bytes | None:
    """The next line that comes from `fd` into `buffer`; None when it does not come in time, or never will."""
    deadline = time.monotonic() + seconds
    while (end := buffer.find(b"\n")) < 0:
        left = deadline - time.monotonic()
        if left <= 0 or not collector.watches(fd):
            return None
        collector.step(left)
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line


def _request(function: str, arguments: Sequence[Any]) -> bytes:
    return code_values.dumps({"call": function, "args": list(arguments), "kwargs": {}}).encode() + b"\n"


def _pipes(stack: contextlib.ExitStack, count: int) -> list[int]:
    """Both ends of `count` pipes; what is left in the list when `stack` unwinds is closed."""
    found: list[int] = []

    def close() -> None:
        for fd in found:
            with contextlib.suppress(OSError):
                os.close(fd)

    stack.callback(close)
    for _ in range(count):
        found += os.pipe()
    return found


@cache
def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


__all__ = ["CodeResult", "FunctionCall", "Grader", "Run", "SandboxError", "same_output", "same_value"]
