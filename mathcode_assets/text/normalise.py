r"""Text as a stream of normalised tokens, each with its place in the original bytes.

A token is a word, a number, or a symbol; punctuation, white space, LaTeX and Markdown dress,
operators and relations only separate. Two texts that differ in case, spacing, Unicode form,
``$``, ``\\left``, ``\\text{...}``, ``\\dfrac``, ``**bold**``, list markers, table pipes, HTML tags, thousands
separators or number words give the same tokens:

    ``**Three** cats cost $1,000.50$`` and ``3 cats cost \\(\\mathrm{1000.5}\\)`` -> ``3 cats cost 1000.5``

The kernel reads the UTF-8 bytes once (no Python per token) and never looks further ahead than one
word, except for an environment name in braces.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from mathcode_assets.text.kernel import tokenise_buffer
from mathcode_assets.text.tables import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of one text, in order."""

    hashes: np.ndarray  # uint64, equal for equal words, equal for equal numbers
    is_number: np.ndarray  # bool
    starts: np.ndarray  # int64, byte offset of the first byte
    stops: np.ndarray  # int64, byte offset after the last byte

    def __len__(self) -> int:
        return len(self.hashes)


def tokenise(text: str | bytes) -> Tokens:
    """All tokens of a text, with byte offsets into its UTF-8 form."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    buffer = np.frombuffer(data, np.uint8)
    hashes, numbers, starts, stops = tokenise_buffer(buffer, 0, len(buffer), tables())
    return Tokens(hashes=hashes, is_number=numbers, starts=starts, stops=stops)


def normalised_words(text: str) -> list[str]:
    """The pieces of the original text that became tokens; for reports and tests."""
    data = text.encode("utf-8", "replace")
    tokens = tokenise(data)
    return [data[a:b].decode("utf-8", "replace") for a, b in zip(tokens.starts, tokens.stops, strict=True)]


_OPERATOR_SPELLINGS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:leqslant|leq|le)(?![a-z])|≤|⩽|<=|&le;", "≤"),
        (r"\\(?:geqslant|geq|ge)(?![a-z])|≥|⩾|>=|&ge;", "≥"),
        (r"\\(?:neq|ne)(?![a-z])|≠|!=", "≠"),
        (r"\\(?:lt)(?![a-z])|&lt;", "<"),
        (r"\\(?:gt)(?![a-z])|&gt;", ">"),
        (r"\\(?:div)(?![a-z])|÷|\\[dtc]?frac(?![a-z])|⁄|∕", "/"),
        (r"[−–—‐‑﹣－]", "-"),
        (r"(?m)^[ \t]*(?:[>+*-][ \t]+)+", " "),  # quote and list markers
        (r"(?<=[a-z])-(?=[a-z])", ""),  # hyphens
        (r"</?[a-z0-9]{1,10}\s*/?>", " "),
        (r"<<[^<>\n]{0,200}>>", " "),
        (r"-{2,}", " "),
    )
]
_OPERATORS = frozenset("+-/=<>≤≥≠!%")


def operators(text: str) -> str:
    """The operators and relations of a text in order, in one spelling each.

    The tokens leave them out; where a question is a dozen tokens long they decide whether
    ``x+1`` was asked or ``x-1``. Multiplication, powers and indices are left out here too, because
    Markdown uses their characters.
    """
    plain = text.lower()
    for pattern, replacement in _OPERATOR_SPELLINGS:
        plain = pattern.sub(replacement, plain)
    return "".join(c for c in unicodedata.normalize("NFC", plain) if c in _OPERATORS)
