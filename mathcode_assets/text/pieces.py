"""Cut a long text at white space, so that what follows works in bounded memory.

A text may be 50 MB long. Splitting it into a list of words costs some 500 MB of Python objects;
splitting pieces of a million characters one after another costs 10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PIECE_CHARS = 1 << 20

# Unicode White_Space. Python's \s adds U+001C..U+001F, which tokenizers do not take for space.
WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

_BORDER = re.compile(rf"(?<=[^{WHITE_SPACE}])[{WHITE_SPACE}]")


def pieces_at_white_space(text: str, *, size: int = PIECE_CHARS, longest: int | None = None) -> Iterator[str]:
    """Pieces of a text, in order; joined they are the text.

    A piece ends just before a run of white space, at the first one after `size` characters, so no
    word and no run of white space is ever in two pieces, unless it is above `longest`.

    Args:
        text: any text, also empty (no piece then).
        size: characters after which the next border ends a piece, at least 1.
        longest: characters at which a piece without a border is cut anywhere; None for never.
    """
    start = 0
    while len(text) - start > size:
        limit = len(text) if longest is None else min(start + longest, len(text))
        # pos one earlier, so that the look-behind sees the character before the border.
        border = _BORDER.search(text, start + size, limit)
        end = border.start() if border else limit
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]
