"""Running heads, running feet and page numbers, found by what repeats from page to page.

Looked for in the first two and the last two lines of a page:

1. a line that, its numbers masked, stands at the same end of at least three pages;
2. a line that begins or ends with the page's own number. That number is known where on at least three
   pages (and a fifth of them) the number found minus the page's position is the same.
"""

from __future__ import annotations

import re
from collections import Counter

_ENDS = (0, 1, -2, -1)
_MIN_PAGES = 3
_MIN_NUMBERED_SHARE = 0.2
_MAX_HEAD_CHARS = 120
_NUMBER = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivxlc]{1,7}", re.IGNORECASE)
_OUTER_NUMBER = re.compile(r"^\s*(\d{1,4})\b|\b(\d{1,4})\s*$")


def without_running_heads(pages: list[list[str]]) -> list[list[str]]:
    """Pages (lists of lines) without their running heads and page numbers."""
    trimmed = [_without_blank_ends(lines) for lines in pages]
    repeated = _repeated_lines(trimmed)
    offset = _numbering_offset(trimmed)
    return [
        _without_heads(lines, repeated, None if offset is None else position + offset)
        for position, lines in enumerate(trimmed)
    ]


def _without_heads(lines: list[str], repeated: set[tuple[int, str]], number: int | None) -> list[str]:
    """From each end inwards, as long as there is a head to take away."""
    drop: set[int] = set()
    for ends in ((0, 1), (-1, -2)):
        for end in ends:
            at = end if end >= 0 else len(lines) + end
            if not 0 <= at < len(lines) or at in drop:
                break
            line = lines[at]
            is_head = (end < 0, _masked(line)) in repeated or (
                number is not None and len(line) <= _MAX_HEAD_CHARS and number in _outer_numbers(line)
            )
            if is_head:
                drop.add(at)
            elif abs(end) != 0 and end not in (0, -1):
                break
    return [line for at, line in enumerate(lines) if at not in drop]


def _repeated_lines(pages: list[list[str]]) -> set[tuple[int, str]]:
    """Masked lines that stand at one end (False: top, True: bottom) of at least three pages."""
    counts: Counter[tuple[int, str]] = Counter()
    for lines in pages:
        seen = set()
        for end in _ENDS:
            at = end if end >= 0 else len(lines) + end
            if 0 <= at < len(lines) and len(lines) > 3 and len(lines[at]) <= _MAX_HEAD_CHARS:
                seen.add((end < 0, _masked(lines[at])))
        counts.update(seen)
    return {key for key, count in counts.items() if count >= _MIN_PAGES and key[1]}


def _numbering_offset(pages: list[list[str]]) -> int | None:
    """Printed page number minus position, where enough pages agree on one."""
    votes: Counter[int] = Counter()
    for position, lines in enumerate(pages):
        numbers = {number for end in _ENDS for number in _outer_numbers_at(lines, end)}
        votes.update(number - position for number in numbers)
    if not votes:
        return None
    offset, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
    return offset if count >= max(_MIN_PAGES, _MIN_NUMBERED_SHARE * len(pages)) else None


def _outer_numbers_at(lines: list[str], end: int) -> set[int]:
    at = end if end >= 0 else len(lines) + end
    return _outer_numbers(lines[at]) if 0 <= at < len(lines) else set()


def _outer_numbers(line: str) -> set[int]:
    return {int(match[1] or match[2]) for match in _OUTER_NUMBER.finditer(line)}


def _masked(line: str) -> str:
    """A line with its numbers masked; a lone number, also a roman one, is a page number."""
    line = line.strip()
    if _ROMAN.fullmatch(line):
        return "#"
    return _NUMBER.sub("#", line)


def _without_blank_ends(lines: list[str]) -> list[str]:
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return lines[first:last]
