"""A document as the one line of words that fastText reads.

fastText has no escaping. A token that starts with its label prefix becomes a label, the token ``</s>``
ends the line, and the bytes NUL, tab, vertical tab and form feed separate words. Text that holds any of
these would train on labels nobody gave, or be scored on its beginning only.
"""

from __future__ import annotations

import re

LABEL_PREFIX = "__label__"

# What is read of a document, in characters. fastText averages over words, so a verdict settles early: on
# concatenations of web pages of one kind, 100,000 characters gave the verdict of the whole text every time,
# and a 50 MB text costs 2 ms instead of seconds.
MAX_SCORED_CHARS = 100_000

_END_OF_LINE_TOKEN = "</s>"
# Controls that str.split() does not take for white space, and invisible characters that glue words together.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x9f\u200b-\u200f\u2060\ufeff\ufffe\uffff]+")
# Quotes, dashes and spaces outside ASCII; letters of any script stay.
_PUNCTUATION = re.compile(
    "[\x80-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf×÷\u2000-\u2bff\u3000-\u303f\ufeff\uff00-\uff0f]+"
)
_ASCII_LETTERS_ONLY = bytes(code if code >= 128 or chr(code).isalpha() else ord(" ") for code in range(256))


def clean_text(text: str, max_chars: int = MAX_SCORED_CHARS, *, letters_only: bool = False) -> str:
    """The first ``max_chars`` characters as one line of words with single spaces; may be empty.

    The paper replaces newlines by spaces; here every kind of white space and every control character
    counts as one, and fastText's own two tokens are broken up.

    Args:
        text: any text.
        max_chars: what is read of it, in characters.
        letters_only: lower-case words without digits, punctuation and formula signs, so that a page reads
            the same whether its LaTeX survived or not.
    """
    text = text[:max_chars]
    if letters_only:
        if not text.isascii():
            text = _PUNCTUATION.sub(" ", text)
        words = text.lower().encode().translate(_ASCII_LETTERS_ONLY).split()
        return b" ".join(words).decode()
    line = " ".join(_INVISIBLE.sub(" ", text).split())
    if LABEL_PREFIX in line:
        line = line.replace(LABEL_PREFIX, "__label _ _")
    if _END_OF_LINE_TOKEN in line:
        line = line.replace(_END_OF_LINE_TOKEN, "< /s>")
    return line
