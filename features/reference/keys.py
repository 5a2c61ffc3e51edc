"""Every table and key of app.toml, from the models in features/spec.py, so that what is said of them is true."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from inspect import cleandoc, isclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from croupier.features.spec import AppSpec
from croupier.features.spec_values import duration, season_length

UNITS = {"seconds": "seconds", "ms": "milliseconds", "days": "days", "hours": "hours", "rows": "rows",
         "decisions": "decisions"}  # fmt: skip
SIGNS = ((Gt, "gt", ">"), (Ge, "ge", "≥"), (Lt, "lt", "<"), (Le, "le", "≤"))


class Form(Enum):
    """How a table stands in the file."""

    ONE = "[{}]"
    NAMED = "[{}.NAME]"
    LIST = "[[{}]]"


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key. `default` is a Python value, `...` where there is none and the key must be given."""

    name: str
    kind: str
    unit: str
    default: Any
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of app.toml. `meaning` says what it is for, `details` is the docstring of its model."""

    path: str
    form: Form
    meaning: str
    details: str
    keys: tuple[Key, ...]

    @property
    def heading(self) -> str:
        """The table's heading in app.toml."""
        return self.form.value.format(self.path)


def tables(model: type[BaseModel] = AppSpec, path: str = "", **known: Any) -> Iterator[Table]:
    """Every table below `model`, outer ones first. Raises ValueError naming a key without a description."""
    inner = []
    keys = []
    for name, info in model.model_fields.items():
        where = f"{path}.{name}" if path else name
        if not info.description:
            raise ValueError(f'{model.__name__}.{name}: found no description, expected Field(…, description="…")')
        below, form = _table(info.annotation)
        if below is None or form is None:
            keys.append(_key(name, info))
        else:
            inner.append((below, where, form, info.description))
    if path:
        yield Table(path=path, details=cleandoc(model.__doc__ or ""), keys=tuple(keys), **known)
    for below, where, form, meaning in inner:
        yield from tables(below, where, form=form, meaning=meaning)


def _table(annotation: Any) -> tuple[type[BaseModel] | None, Form | None]:
    """Returns (the model, how it stands in the file) where the annotation is of tables."""
    for inner, form in ((annotation, Form.ONE), *((each, _container(annotation)) for each in get_args(annotation))):
        if isclass(inner) and issubclass(inner, BaseModel):
            return inner, form
    return None, None


def _container(annotation: Any) -> Form:
    return Form.NAMED if get_origin(annotation) is dict else Form.LIST


def _key(name: str, info: FieldInfo) -> Key:
    default = ... if info.is_required() else info.get_default(call_default_factory=True)
    bounds = " and ".join(_bounds(info.metadata))
    kind = _kind(info.annotation, info.metadata) + (f" {bounds}" if bounds else "")
    return Key(
        name=name,
        kind=kind,
        unit=UNITS.get(name.rpartition("_")[2], ""),
        default=default,
        meaning=info.description or "",
    )


def _bounds(metadata: list[Any]) -> Iterator[str]:
    for rule in metadata:
        for kind, attribute, sign in SIGNS:
            if isinstance(rule, kind):
                yield f"{sign} {getattr(rule, attribute):g}"


def _kind(annotation: Any, metadata: list[Any] = []) -> str:  # noqa: B006  (it is only read)
    """The type in words."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return f"{{ {', '.join(annotation.model_fields)} }}"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], list(arguments[1:]))
    if any(isinstance(rule, AfterValidator) and rule.func is season_length for rule in metadata):
        return 'duration such as "24h", or "none"'
    if any(isinstance(rule, AfterValidator) and rule.func is duration for rule in metadata):
        return 'duration such as "90s", "30m", "6h" or "1d"'
    if origin in (Union, UnionType):
        return " or ".join(_kind(each) for each in arguments if each is not NoneType)
    if origin is Literal:
        return " or ".join(f'"{each}"' for each in arguments)
    if origin is tuple:
        several = get_origin(arguments[0]) in (Union, UnionType)  # of numbers, texts and booleans
        each = "value" if several else _kind(arguments[0])
        return f"list of {each}s" if arguments[-1] is ... else "[low, high]"
    if origin is dict:
        return "tables by name" if get_origin(arguments[1]) is dict else f"table of {_kind(arguments[1])} by name"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}.get(annotation, "any value")
