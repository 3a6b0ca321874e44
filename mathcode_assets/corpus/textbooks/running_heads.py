"""Running heads, running feet and page numbers, found by what repeats from page to page.

Looked for in the first two and the last two lines of a page, from the end inwards:

1. a line that, its numbers masked, stands at the same end of at least three pages, none more than two
   pages apart (heads of left and right pages alternate);
2. a line that begins or ends with the page's own number. The number is known where on at least three
   pages, and a fifth of them, the number found minus the page's position is the same. Roman numbers, of
   the pages in front, are counted by themselves.

A lone number that is not the page's own stays: it may be the result of a computation.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

_TOP, _BOTTOM = (0, 1), (-1, -2)
_MIN_PAGES = 3
_MAX_GAP = 2  # pages
_MIN_NUMBERED_SHARE = 0.2
_MIN_LINES = 4  # a page with fewer has no body that a head could stand above
_MAX_HEAD_CHARS = 120

_NUMBER = re.compile(r"\d+")
_OUTER_NUMBER = re.compile(r"^\W{0,3}(\d{1,4})\b|\b(\d{1,4})\W{0,3}$")
_OUTER_ROMAN = re.compile(r"^\W{0,3}([ivxl]{1,7})\b|\b([ivxl]{1,7})\W{0,3}$")
_ROMAN_DIGITS = {"i": 1, "v": 5, "x": 10, "l": 50}

# A printed number: whether it is roman, and its value.
_Printed = tuple[bool, int]


def without_running_heads(pages: list[list[str]]) -> list[list[str]]:
    """Pages (lists of lines) without their running heads and page numbers."""
    trimmed = [_without_blank_ends(lines) for lines in pages]
    repeated = _repeated_lines(trimmed)
    offsets = _numbering_offsets(trimmed)
    return [
        _without_heads(lines, repeated[position], {(roman, position + offset) for roman, offset in offsets})
        for position, lines in enumerate(trimmed)
    ]


def _without_heads(lines: list[str], repeated: set[tuple[bool, str]], numbers: set[_Printed]) -> list[str]:
    """From each end inwards, as long as there is a head to take away."""
    drop: set[int] = set()
    for ends in (_TOP, _BOTTOM):
        for at in _positions(lines, ends):
            line = lines[at]
            is_repeated = (ends is _BOTTOM, _masked(line)) in repeated
            if is_repeated or (len(line) <= _MAX_HEAD_CHARS and numbers & _outer_numbers(line)):
                drop.add(at)
            elif at not in (0, len(lines) - 1):
                break
    return [line for at, line in enumerate(lines) if at not in drop]


def _repeated_lines(pages: list[list[str]]) -> dict[int, set[tuple[bool, str]]]:
    """For each page, the masked lines (at the bottom?, line) of it that run through its neighbours."""
    occurrences: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for position, lines in enumerate(pages):
        if len(lines) < _MIN_LINES:
            continue
        keys = {
            (ends is _BOTTOM, _masked(lines[at]))
            for ends in (_TOP, _BOTTOM)
            for at in _positions(lines, ends)
            if len(lines[at]) <= _MAX_HEAD_CHARS and any(char.isalpha() for char in lines[at])
        }
        for key in keys:
            occurrences[key].append(position)
    repeated: dict[int, set[tuple[bool, str]]] = defaultdict(set)
    for key, positions in occurrences.items():
        for run in _runs(positions):
            if len(run) >= _MIN_PAGES:
                for position in run:
                    repeated[position].add(key)
    return repeated


def _runs(positions: list[int]) -> list[list[int]]:
    """Ascending positions parted where more than the allowed gap lies between two."""
    runs: list[list[int]] = []
    for position in positions:
        if runs and position - runs[-1][-1] <= _MAX_GAP:
            runs[-1].append(position)
        else:
            runs.append([position])
    return runs


def _numbering_offsets(pages: list[list[str]]) -> set[_Printed]:
    """Printed page number minus position, of arabic and of roman numbering, where enough pages agree."""
    votes: Counter[_Printed] = Counter()
    for position, lines in enumerate(pages):
        ends = [at for ends in (_TOP, _BOTTOM) for at in _positions(lines, ends)]
        printed = {number for at in ends for number in _outer_numbers(lines[at])}
        votes.update((roman, number - position) for roman, number in printed)
    offsets: set[_Printed] = set()
    for roman, least in ((False, max(_MIN_PAGES, _MIN_NUMBERED_SHARE * len(pages))), (True, _MIN_PAGES)):
        ranked = sorted((-count, offset) for (is_roman, offset), count in votes.items() if is_roman == roman)
        if ranked and -ranked[0][0] >= least:
            offsets.add((roman, ranked[0][1]))
    return offsets


def _positions(lines: list[str], ends: tuple[int, ...]) -> list[int]:
    """Where the lines at these ends stand, counted from the front; each once in a short page."""
    positions = [end if end >= 0 else len(lines) + end for end in ends]
    return [at for at in positions if 0 <= at < len(lines)]


def _outer_numbers(line: str) -> set[_Printed]:
    arabic = {(False, int(match[1] or match[2])) for match in _OUTER_NUMBER.finditer(line)}
    return arabic | {(True, _roman_value(match[1] or match[2])) for match in _OUTER_ROMAN.finditer(line)}


def _roman_value(numeral: str) -> int:
    values = [_ROMAN_DIGITS[digit] for digit in numeral]
    return sum(-value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True))


def _masked(line: str) -> str:
    return _NUMBER.sub("#", line.strip())


def _without_blank_ends(lines: list[str]) -> list[str]:
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return lines[first:last]
