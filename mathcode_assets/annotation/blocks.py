"""A document as blocks of text that a language model can be asked about one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator

BLOCK_CHARS = 5_000  # paper, section 2.1

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
# Where a paragraph that is too long may be cut, best first: after a line, a sentence, a word.
_BORDERS = (re.compile(r"\n"), re.compile(r"(?<=[.!?。])\s"), re.compile(r"\s"))


def split_blocks(text: str, max_chars: int = BLOCK_CHARS) -> Iterator[str]:
    """Blocks of at most ``max_chars`` characters that together hold every character of the text.

    Paragraphs (separated by blank lines) are put together while they fit. A longer paragraph is cut after the
    last line, sentence or word that fits, and in the middle of a word only where there is no white space at
    all. Joining the blocks gives the text back.

    Raises:
        ValueError: ``max_chars`` is below 1.
    """
    if max_chars < 1:
        raise ValueError("a block holds at least one character")
    block = ""
    for piece in _pieces(text, max_chars):
        if len(block) + len(piece) > max_chars:
            yield block
            block = ""
        block += piece
    if block:
        yield block


def _pieces(text: str, max_chars: int) -> Iterator[str]:
    """Paragraphs and the blank lines between them, none longer than ``max_chars``."""
    begin = 0
    for border in _BLANK_LINES.finditer(text):
        yield from _cut(text, begin, border.start(), max_chars)
        yield from _cut(text, border.start(), border.end(), max_chars)
        begin = border.end()
    yield from _cut(text, begin, len(text), max_chars)


def _cut(text: str, begin: int, end: int, max_chars: int) -> Iterator[str]:
    while end - begin > max_chars:
        stop = _best_border(text, begin, begin + max_chars)
        yield text[begin:stop]
        begin = stop
    if begin < end:
        yield text[begin:end]


def _best_border(text: str, begin: int, limit: int) -> int:
    """A position in (begin, limit]: after a line or a sentence in the second half, else after a word."""
    middle = begin + (limit - begin) // 2
    for pattern in _BORDERS:
        last = None
        for match in pattern.finditer(text, middle, limit):
            last = match.end()
        if last is not None:
            return last
    return limit
