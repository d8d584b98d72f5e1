"""Tools: from a typed, documented method to a schema, strict arguments and one text for the model."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, TypeVar, get_args, get_origin, overload

import orjson
from docstring_parser import Docstring, parse
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from gym_mcp.errors import ToolError, UsageError
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import Image, JSONObject, ToolResult, ToolSpec

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__gym_tool__"
_to_json = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` would build an encoder for each result


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """What `@tool(...)` was told."""

    name: str | None = None
    description: str | None = None
    read_only: bool = False


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, read_only: bool = False
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    read_only: bool = False,
) -> F | Callable[[F], F]:
    """Mark a method of an `Environment` as a tool of the agent.

    The name, description and JSON schema come from the method's name, docstring and type hints.
    `read_only=True` declares that the call changes no state. A method that overrides a tool is that tool still,
    with or without the mark; `name = None` in the subclass takes the tool away.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, ToolOptions(name, description, read_only))
        return method

    return mark if function is None else mark(function)


class _Schema(GenerateJsonSchema):
    """Schemas without the `title` that pydantic puts on every field: models pay for each token."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _untitled(schema: JSONObject) -> JSONObject:
    for node in (schema, *schema.get("$defs", {}).values()):
        if isinstance(node.get("title"), str):
            del node["title"]
    return schema


class InvalidArguments(ToolError):
    """Arguments that do not fit a tool's schema."""


@dataclass(frozen=True)
class Tool:
    """A tool of one environment type, or one that comes from a task's data.

    `invoke(environment, arguments)` gets validated arguments; `arguments_model` is None for tools that come
    with a JSON schema of their own (`from_schema`).
    """

    spec: ToolSpec
    invoke: Callable[[Any, dict[str, Any]], Any]
    is_async: bool
    arguments_model: type[BaseModel] | None = None
    return_type: Any = None
    validated: bool = True

    @property
    def name(self) -> str:
        return self.spec.name

    @classmethod
    def from_method(cls, method: Callable[..., Any], overridden: Callable[..., Any] | None = None) -> Tool:
        """Build a tool from a method marked with `@tool`, or from one that overrides it without the mark."""
        options: ToolOptions = getattr(method if overridden is None else overridden, _MARK)
        where = f"{method.__module__}.{method.__qualname__}"
        # `getdoc(None)` describes NoneType from Python 3.13 on.
        inherited = inspect.getdoc(overridden) if overridden is not None else None
        doc = parse(inspect.getdoc(method) or inherited or "")
        signature = _signature(method, where)
        model = _arguments_model(method.__name__, signature, doc, where)
        description = options.description or _description(doc)
        schema = _untitled(model.model_json_schema(schema_generator=_Schema))
        schema.pop("description", None)
        schema.setdefault("properties", {})
        returns = signature.return_annotation
        return cls(
            ToolSpec(options.name or method.__name__, description, schema, options.read_only),
            lambda environment, arguments: method(environment, **arguments),
            inspect.iscoroutinefunction(method),
            model,
            None if returns is inspect.Signature.empty else returns,
        )

    @classmethod
    def from_schema(
        cls,
        name: str,
        description: str,
        input_schema: JSONObject,
        handler: Callable[[Any, dict[str, Any]], Any],
        *,
        read_only: bool = False,
        validated: bool = True,
    ) -> Tool:
        """A tool that comes from data: `handler(environment, arguments)` runs after JSON-schema validation.

        With `validated=False` it gets whatever the model sent: for calls that are graded and not carried out.
        """
        spec = ToolSpec(name, description, input_schema, read_only)
        return cls(spec, handler, inspect.iscoroutinefunction(handler), validated=validated)

    @cached_property
    def output_schema(self) -> JSONObject | None:
        """JSON schema of the return type; None when it has no annotation or holds an image."""
        if self.return_type is None or _holds_image(self.return_type):
            return None
        try:
            return _untitled(TypeAdapter(self.return_type).json_schema(schema_generator=_Schema))
        except PydanticUserError:
            return None

    @cached_property
    def _schema_validator(self) -> Any:
        from jsonschema.validators import validator_for

        return validator_for(self.spec.input_schema)(self.spec.input_schema)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Strictly validated keyword arguments; `InvalidArguments`, for the model to read, if they do not fit."""
        if not self.validated:
            return dict(arguments)
        if self.arguments_model is None:
            error = next(iter(self._schema_validator.iter_errors(arguments)), None)
            if error is not None:
                where = ".".join(str(p) for p in error.absolute_path)
                raise self._invalid(f"{where + ': ' if where else ''}{error.message}")
            return dict(arguments)
        try:
            text = _json_bytes(arguments)
        except (TypeError, ValueError, RecursionError) as e:
            raise self._invalid(str(e)) from None
        try:
            # JSON mode, so that the same text means the same thing on every transport. Strict here too, because
            # a nested model does not inherit it.
            model = self.arguments_model.__pydantic_validator__.validate_json(text, strict=True)
        except ValidationError as e:
            raise self._invalid(explain(e)) from None
        return dict(model.__dict__)

    def _invalid(self, reason: str) -> InvalidArguments:
        return InvalidArguments(f"Invalid arguments for {self.name}: {reason}")

    def renamed(self, name: str) -> Tool:
        """The same tool under another name."""
        return replace(self, spec=replace(self.spec, name=name))


def _json_bytes(arguments: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(arguments)
    except TypeError:  # integers past 64 bits
        return json.dumps(arguments).encode()


def explain(error: ValidationError, model: Any = None) -> str:
    """A pydantic error as one line: `field: what is wrong; field: ...`. `model` knows what may have been meant."""
    return "; ".join(
        f"{'.'.join(str(p) for p in e['loc']) or 'value'}: {_said(e['type'], e['msg'], e['loc'], model)}"
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _said(kind: str, message: str, loc: tuple[int | str, ...], model: Any) -> str:
    if kind != "extra_forbidden":
        return message
    for part in loc[:-1]:
        found = getattr(model, "model_fields", {}).get(part)
        model = found.annotation if found is not None else None
    known = getattr(model, "model_fields", {})
    return f"no such field{did_you_mean(str(loc[-1]), known)}" if known else message


def _description(doc: Docstring) -> str:
    return "\n\n".join(p for p in (doc.short_description, doc.long_description) if p)


def _holds_image(hint: Any) -> bool:
    return hint is Image or any(map(_holds_image, get_args(hint)))


def _signature(method: Callable[..., Any], where: str) -> inspect.Signature:
    try:
        return inspect.signature(method, eval_str=True)
    except NameError as e:
        raise UsageError(f"{where}: a type hint names something undefined: {e}") from None
    except Exception as e:
        raise UsageError(f"{where}: a type hint cannot be read: {type(e).__name__}: {e}") from None


def _arguments_model(name: str, signature: inspect.Signature, doc: Docstring, where: str) -> type[BaseModel]:
    described = {p.arg_name: p.description or "" for p in doc.params}
    parameters = list(signature.parameters.values())
    if not parameters or parameters.pop(0).kind > inspect.Parameter.POSITIONAL_OR_KEYWORD:
        raise UsageError(f"{where}: a tool is a method: its first parameter is `self`")
    fields = {p.name: _field(p, described.get(p.name), where) for p in parameters}
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=False, protected_namespaces=())
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Field name .* shadows an attribute"
            )  # `json`, `copy`, ...: harmless
            return create_model(f"{name}_arguments", __config__=config, **fields)  # type: ignore[call-overload,no-any-return]
    except PydanticUserError as e:
        first = e.message.split("\n", 1)[0]
        raise UsageError(f"{where}: no JSON schema for its parameters: {first}") from None
    except NameError as e:
        raise UsageError(f"{where}: {e}") from None


def _field(parameter: inspect.Parameter, description: str | None, where: str) -> tuple[Any, Any]:
    """Type and default of one parameter, as pydantic wants them."""
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise UsageError(f"{where}: a tool takes named parameters only, not `{parameter}`")
    if parameter.annotation is parameter.empty:
        raise UsageError(f"{where}: give parameter `{name}` a type hint: its schema comes from it")
    if name.startswith("_"):
        raise UsageError(f"{where}: parameter `{name}` starts with an underscore: rename it")
    if name.startswith("model_") and hasattr(BaseModel, name):
        raise UsageError(f"{where}: parameter `{name}` has a name that pydantic keeps for itself: rename it")
    annotation = parameter.annotation
    if description:  # innermost, so that the hint's own `Field` has the last word
        hint, metadata = (
            (annotation.__origin__, annotation.__metadata__)
            if get_origin(annotation) is Annotated
            else (annotation, ())
        )
        annotation = Annotated[(hint, Field(description=description), *metadata)]
    return annotation, (... if parameter.default is parameter.empty else parameter.default)


def tools_of(cls: type) -> dict[str, Tool]:
    """All tools that a class declares, by name, in the order of definition (base classes first)."""
    marked: dict[str, Callable[..., Any]] = {}
    methods: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            if hasattr(value, _MARK):
                marked[attribute] = methods[attribute] = value
            elif attribute in methods and value is None:
                del methods[attribute]
            elif attribute in methods:
                methods[attribute] = value
    found: dict[str, Tool] = {}
    for attribute, method in methods.items():
        where = f"{cls.__module__}.{cls.__qualname__}"
        if isinstance(method, staticmethod | classmethod) or not hasattr(method, "__qualname__"):
            raise UsageError(f"{where}.{attribute}: a tool is a plain method")
        origin = marked[attribute]
        built = Tool.from_method(method, None if method is origin else origin)
        if built.name in found:
            raise UsageError(f"{where}: two tools are named `{built.name}`")
        found[built.name] = built
    return found


def storable(value: Any) -> Any:
    """A JSON value that UTF-8 can carry: lone surrogates become `?`, what is no JSON becomes text."""
    try:
        orjson.dumps(value)
    except TypeError:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except (RecursionError, ValueError):
            return type(value)()
        return json.loads(text.encode("utf-8", "replace"))
    return value


def render(value: Any) -> ToolResult:
    """What the model sees of a tool's return value: a `str` as is, anything else as JSON, images as images."""
    if type(value) is str:
        return ToolResult(value)
    if isinstance(value, str):  # a StrEnum, say
        return ToolResult(str.__str__(value))
    if isinstance(value, ToolResult):  # a copy: the author may keep the same one for the next episode
        return replace(value)
    if isinstance(value, Image):
        return ToolResult("", images=(value,))
    if isinstance(value, list | tuple) and any(isinstance(part, Image) for part in value):
        texts = [render(part).text for part in value if not isinstance(part, Image)]
        return ToolResult("\n".join(texts), images=tuple(p for p in value if isinstance(p, Image)))
    try:
        return ToolResult(_to_json(value))
    except TypeError:
        return ToolResult(_to_json(to_jsonable_python(value)))
