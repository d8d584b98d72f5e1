"""Settings that an environment or a harness declares as a pydantic model, read from flags and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gym_mcp.errors import UsageError
from gym_mcp.suggest import did_you_mean
from gym_mcp.tools import explain


class Options(BaseModel):
    """Settings of an environment (`--set env.NAME=VALUE`) or of a harness (`--set harness_options.NAME=VALUE`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyOptions = TypeVar("AnyOptions", bound=BaseModel)


def read_options(owner: str, model: type[AnyOptions], settings: Mapping[str, Any]) -> AnyOptions:
    """`settings` as `model`; strings are read as the option's type.

    Raises `UsageError` that names `owner` and the option, with the nearest name for a typing error.
    """
    for key in settings:
        if key not in model.model_fields:
            hint = did_you_mean(key, model.model_fields) if model.model_fields else "; it has none"
            raise UsageError(f"{owner}: no option `{key}`{hint}")
    try:
        return model.model_validate(dict(settings))
    except ValidationError as e:
        raise UsageError(f"{owner}: option {explain(e, model)}") from None
