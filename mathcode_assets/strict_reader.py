"""Specification files as dataclasses, strictly: every mistake is one line that names the key.

Job and evaluation specifications are read with it, on workers too: no YAML is needed for JSON.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal


class SpecError(ValueError):
    """The specification cannot be used; the message is one line that names the key."""


def read_file(path: Path) -> Any:
    """The values of a JSON file, or of a YAML file where the name does not end in .json.

    Raises:
        SpecError: it cannot be read, is not valid, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=no_key_twice) if path.suffix == ".json" else read_yaml(text)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SpecError(f"not valid: {error}") from error


def build(cls: Any, given: Any, where: str = "") -> Any:
    """A dataclass from a mapping.

    Args:
        cls: a dataclass; its annotations say what each value must be.
        given: what was read.
        where: the section, for the message.

    Raises:
        SpecError: a key is unknown or missing, or a value of the wrong type.
    """
    if not isinstance(given, Mapping):
        raise SpecError(f"{where or 'the file'}: wants a mapping, got {_kind(given)}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values = {}
    for key, value in given.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in fields:
            close = difflib.get_close_matches(str(key), list(fields), n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(fields)}"
            raise SpecError(f"{name}: unknown key; {hint}")
        values[key] = _value(hints[key], value, name)
    for key, found in fields.items():
        required = found.default is dataclasses.MISSING and found.default_factory is dataclasses.MISSING
        if required and key not in values:
            raise SpecError(f"{f'{where}.{key}' if where else key}: is missing")
    return cls(**values)


def _value(hint: Any, value: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _value(next(argument for argument in arguments if argument is not type(None)), value, name)
    if origin is Literal:
        if any(value == allowed and type(value) is type(allowed) for allowed in arguments):
            return value
        raise SpecError(f"{name}: wants one of {', '.join(map(str, arguments))}, got {value!r}")
    if origin is tuple and arguments[-1] is Ellipsis:
        if not isinstance(value, list | tuple):
            raise SpecError(f"{name}: wants a list, got {_kind(value)}")
        return tuple(_value(arguments[0], item, f"{name}[{at}]") for at, item in enumerate(value))
    if origin is tuple:
        if not isinstance(value, list | tuple) or len(value) != len(arguments):
            raise SpecError(f"{name}: wants {len(arguments)} numbers, got {_kind(value)}")
        return tuple(
            _value(argument, item, f"{name}[{at}]")
            for at, (argument, item) in enumerate(zip(arguments, value, strict=True))
        )
    if dataclasses.is_dataclass(hint):
        return build(hint, value, name)
    if hint is float:
        return _number(value, name)
    wanted = dict if origin is not None else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise SpecError(f"{name}: wants {_NAMES.get(wanted, wanted.__name__)}, got {_kind(value)}")
    return value


def _number(value: Any, name: str) -> float:
    # YAML 1.1 reads 4e-5 (no point) as text; whoever writes a learning rate means the number.
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not math.isfinite(number):
        raise SpecError(f"{name}: wants a finite number, got {_kind(value)}")
    return number


_NAMES = {dict: "a mapping", str: "text", bool: "true or false", int: "a whole number"}


def _kind(value: Any) -> str:
    return (
        "nothing" if value is None else f"{value!r}" if isinstance(value, str | int | float) else type(value).__name__
    )


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of pairs; a key given twice is an error, where json and yaml keep the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise SpecError(f"{key}: is given twice")
        found[key] = value
    return found


def read_yaml(text: str) -> Any:
    """YAML's safe subset, where a key given twice is an error too."""
    import yaml  # a worker reads JSON and needs no YAML

    class UniqueKeyLoader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            no_key_twice([(str(key.value), None) for key, _ in node.value])
            return super().construct_mapping(node, deep=deep)

    try:
        return yaml.load(text, Loader=UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise SpecError(f"not valid YAML: {' '.join(str(error).split())}") from error
