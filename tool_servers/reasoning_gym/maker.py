"""The child process that makes questions: one request on stdin, names and rows on stdout, both JSON.

It is run as a script, with a fixed hash seed: the rows of some generators follow the order of sets.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any


def make(
    package: Any, wanted: Sequence[str], size: int, seed: int, config: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """`size` rows, dealt out evenly over the generators. Raises `ValueError` for a config that does not fit."""
    rows = []
    for place, name in enumerate(wanted):
        count = size // len(wanted) + (place < size % len(wanted))
        if not count:
            continue
        try:
            dataset = package.create_dataset(name, **{**config, "size": count, "seed": seed})
            entries = [dataset[index] for index in range(count)]
        except (AssertionError, TypeError, ValueError) as e:
            raise ValueError(f"dataset {name}: {e or 'its config does not fit'}") from None
        rows += [
            {**entry, "config": dict(config), "name": f"{name}-{seed}-{i}"} for i, entry in enumerate(entries)
        ]
    return rows


def main() -> None:
    """Answer the request; nothing but the answer goes to stdout, whatever the generators print."""
    request = json.load(sys.stdin)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = importlib.import_module("reasoning_gym")
        names = sorted(importlib.import_module("reasoning_gym.factory").DATASETS)
        answer: dict[str, Any] = {"names": names}
        wanted = request["datasets"]
        if wanted == ["all"]:
            wanted = [name for name in names if name not in request["without"]]
        unknown = [name for name in wanted if name not in names]
        try:
            if not unknown:
                answer["rows"] = make(package, wanted, request["size"], request["seed"], request["config"])
            else:
                answer["unknown"] = unknown[0]
        except ValueError as e:
            answer["error"] = str(e)
    json.dump(answer, sys.stdout, default=str)


if __name__ == "__main__":
    main()
