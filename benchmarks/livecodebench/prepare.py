"""LiveCodeBench's tests: public ones as JSON, hidden ones as JSON in a pickle, compressed and in base 64."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

STDIN = "The program reads standard input and writes standard output."
CALL = "Complete this code; the function is called, and nothing is read or written:\n\n```python\n{}\n```"


class _TextOnly(pickle.Unpickler):
    """A pickle of plain data: one that asks for any class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"hidden tests ask for {module}.{name}")


def hidden(encoded: str) -> list[dict[str, str]]:
    """The hidden tests of a row."""
    try:
        value = json.loads(encoded)
    except ValueError:
        packed = zlib.decompress(base64.b64decode(encoded))
        value = _TextOnly(io.BytesIO(packed)).load()
    tests: list[dict[str, str]] = json.loads(value) if isinstance(value, str) else value
    return tests


def rows(raw: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows with `unit_tests` and a sentence on `how` the program is run."""
    for row in raw:
        tests = [*json.loads(row["public_test_cases"]), *hidden(row["private_test_cases"])]
        function = json.loads(row["metadata"] or "{}").get("func_name")
        unit_tests = {
            "inputs": [test["input"] for test in tests],
            "outputs": [test["output"] for test in tests],
            "fn_name": function,
        }
        how = CALL.format(row["starter_code"].rstrip()) if function else STDIN
        yield {**row, "unit_tests": unit_tests, "how": how}
