"""A document as the one line of words that fastText reads.

fastText has no escaping. A token that starts with its label prefix becomes a label, the token ``</s>``
ends the line, and the bytes NUL, tab, vertical tab and form feed separate words. Text that holds any of
these would train on labels nobody gave, or be scored on its beginning only.
"""

from __future__ import annotations

import re

LABEL_PREFIX = "__label__"

# What is read of a document, in characters. Measured on 180 texts of 350,000 characters joined from pages,
# with three classifiers: cut to these, 539 of 540 verdicts are those of the whole text (cut to 20,000: 531).
# A text of 50 MB costs 4 ms instead of seconds.
MAX_SCORED_CHARS = 100_000

# Outside ASCII: white space, controls, and invisible characters that glue words together.
_BLANKS = re.compile("[\x80-\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff\ufffe\uffff]+")
# These and quotes, dashes, arrows, signs; letters of any script stay.
_NOT_LETTERS = re.compile(
    "[\x80-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf×÷\u1680\u2000-\u2bff\u3000-\u303f\ufeff\uff00-\uff0f\ufffe\uffff]+"
)
_ASCII_BLANKS = bytes(code if 32 < code != 127 else 32 for code in range(256))
_ASCII_LETTERS = bytes(code if code >= 128 or chr(code).isalpha() else 32 for code in range(256))


def words_of(text: str, max_chars: int = MAX_SCORED_CHARS, *, letters_only: bool = False) -> bytes:
    """The words of the first ``max_chars`` characters as UTF-8, with any number of spaces between them.

    The paper replaces newlines by spaces; here every kind of white space and every control character
    counts as one, and fastText's own two tokens are broken up.

    Args:
        text: any text.
        max_chars: what is read of it, in characters.
        letters_only: lower-case words without digits, punctuation and formula signs, so that a page reads
            the same whether its LaTeX survived or not.
    """
    text = text[:max_chars]
    is_ascii = text.isascii()
    if letters_only:
        text = text.lower() if is_ascii else _NOT_LETTERS.sub(" ", text.lower())
        return text.encode().translate(_ASCII_LETTERS)
    data = (text if is_ascii else _BLANKS.sub(" ", text)).encode().translate(_ASCII_BLANKS)
    return data.replace(b"__label__", b"__label _ _").replace(b"</s>", b"< /s>")


def clean_text(text: str, max_chars: int = MAX_SCORED_CHARS, *, letters_only: bool = False) -> str:
    """`words_of` as one line with single spaces; empty where the text has no words."""
    return b" ".join(words_of(text, max_chars, letters_only=letters_only).split()).decode()
