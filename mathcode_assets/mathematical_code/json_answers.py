"""JSON in an answer: read as far as it goes, whatever the server or the model did to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_START = re.compile(r'\{\s*"[^"\n]{1,40}"\s*:|\[\s*\{\s*"|\[\s*\]|\{\s*\}')
_LIST = re.compile(r'"computations"\s*:\s*\[')
# A backslash that JSON has no meaning for: LaTeX that was not escaped.
_STRAY_BACKSLASH = re.compile(r'(?<!\\)((?:\\\\)*)\\(?!["\\/bfnrtu]|u[0-9a-fA-F]{4})|\\u(?![0-9a-fA-F]{4})')
# Characters that unescaped LaTeX turns into where JSON does have a meaning for its first letter.
_SWALLOWED = (
    ("\x0c", re.compile("\x0c(?=[a-z])"), "\\\\f"),
    ("\x08", re.compile("\x08(?=[a-z])"), "\\\\b"),
    ("\t", re.compile(r"\t(?=(?:imes|heta|an\b|anh|ext|o\b|au\b|frac|riangle|ilde|herefore|op\b))"), r"\\t"),
    ("\r", re.compile(r"\r(?=(?:ho|ight|angle|m\b|ceil|floor))"), r"\\r"),
    ("\n", re.compile(r"\n(?=(?:abla|eq\b|e\b|u\b|ot\b|otin|mid|leq|geq))"), r"\\n"),
)
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonAnswer:
    """What could be read.

    Attributes:
        items: the objects of the list of computations.
        rest: what followed the last object that could be read, where the JSON breaks off or is broken; else
            empty.
        is_whole: whether the JSON could be read to its end.
        start: where the JSON begins in the answer.
        end: one past its last character that was read or given up.
    """

    items: tuple[Mapping[str, Any], ...]
    rest: str
    is_whole: bool
    start: int
    end: int


def read_json(answer: str, start: int = 0, end: int | None = None) -> JsonAnswer | None:
    """The list of computations an answer holds as JSON; None where there is no JSON to be found.

    An object with a list ``computations`` (or any one list of objects), a list, or a single object.
    """
    end = len(answer) if end is None else end
    found = _START.search(answer, start, end)
    if not found:
        return None
    begin = found.start()
    whole = _decoded(answer, begin, end)
    if whole is not None:
        value, stop = whole
        return JsonAnswer(items=tuple(_items(value)), rest="", is_whole=True, start=begin, end=stop)
    return _read_items(answer, begin, end)


def without_swallowed_latex(text: str) -> str:
    r"""Commands that JSON read as control characters put back: a form feed before ``rac`` was ``\frac``."""
    for character, pattern, command in _SWALLOWED:
        if character in text:
            text = pattern.sub(command, text)
    return text


def _read_items(answer: str, begin: int, end: int) -> JsonAnswer:
    """The complete objects of a list that breaks off or is broken somewhere."""
    opening = _LIST.search(answer, begin, end)
    position = opening.end() if opening else begin + (answer[begin] == "[")
    items = []
    while True:
        start = _after_separators(answer, position, end)
        decoded = _decoded(answer, start, end) if answer[start : start + 1] == "{" else None
        if decoded is None or not isinstance(decoded[0], dict):
            rest = answer[start:end].strip()
            rest = "" if re.fullmatch(r"[\]}\s]*", rest) else rest
            return JsonAnswer(items=tuple(items), rest=rest, is_whole=False, start=begin, end=end)
        items.append(decoded[0])
        position = decoded[1]


def _after_separators(answer: str, position: int, end: int) -> int:
    while position < end and (answer[position].isspace() or answer[position] == ","):
        position += 1
    return position


def _decoded(answer: str, start: int, end: int) -> tuple[Any, int] | None:
    """The JSON value that begins at `start` and one past its end; backslashes mended if need be."""
    text = answer[start:end]
    try:
        value, length = _DECODER.raw_decode(text)
        return value, start + length
    except (ValueError, RecursionError):
        pass
    try:
        value, length = _DECODER.raw_decode(_STRAY_BACKSLASH.sub(_doubled, text))
    except (ValueError, RecursionError):
        return None
    return value, start + _length_before_mending(text, length)


def _doubled(match: re.Match[str]) -> str:
    return (match[1] or "") + "\\\\" + ("u" if match[0].endswith("u") else "")


def _length_before_mending(text: str, length: int) -> int:
    """Characters of `text` that the first `length` characters of the mended text came from."""
    added = 0
    for match in _STRAY_BACKSLASH.finditer(text):
        if match.end() + added >= length:
            break
        added += 1
    return length - added


def _items(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        if "computations" in value and isinstance(value["computations"], list):
            value = value["computations"]
        elif len(value) == 1 and lists:
            value = lists[0]
        elif value and all(isinstance(item, dict) for item in value.values()):
            value = list(value.values())
        else:
            value = [value] if value else []
    return [item if isinstance(item, dict) else {"": item} for item in value]
