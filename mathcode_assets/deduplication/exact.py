"""When two texts are the same: their normal form by kind of text, and its hash.

"The same text" depends on the kind (`PROSE`, `CODE`), and texts of two kinds are never the same. The words that near
duplicates are compared by (`kernel`) are those of the normal form, so equal texts have equal words.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mathcode_assets.text.pieces import pieces_at_white_space

HASH_BYTES = 16  # at 10^10 texts the chance of one false match is below 10^-18


@dataclass(frozen=True, slots=True, kw_only=True)
class TextKind:
    """What counts as the same text: `normalise` yields the pieces of text that are hashed."""

    name: str
    normalise: Callable[[str], Iterator[str]]

    def __reduce__(self) -> tuple[Callable[[str], TextKind], tuple[str]]:
        """Arrive in another process as the kind that is there: kinds are told apart by identity."""
        return kind_named, (self.name,)


def normalised_prose(text: str) -> Iterator[str]:
    """Pieces of a prose text: NFC, every run of white space one space, none at the ends.

    Case stays. We use NFC and not NFKC, which makes `x²` and `x2`, `2⁵` and `25` the same text.
    """
    separator = ""
    for piece in pieces_at_white_space(unicodedata.normalize("NFC", text)):
        words = piece.split()
        if words:
            yield separator + " ".join(words)
            separator = " "


def normalised_code(text: str) -> Iterator[str]:
    """Pieces of a program: line ends as LF, no white space at line ends, no blank lines at the ends.

    Indentation, case, inner space, blank lines within and the Unicode form of literals mean
    something in a program and stay. A byte order mark at the start goes.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    yield "\n".join([line.rstrip(" \t") for line in text.split("\n")]).strip("\n")


PROSE = TextKind(name="prose", normalise=normalised_prose)
CODE = TextKind(name="code", normalise=normalised_code)


def kind_named(name: str) -> TextKind:
    """`PROSE` or `CODE`.

    Raises:
        KeyError: neither.
    """
    return {kind.name: kind for kind in (PROSE, CODE)}[name]


def content_hash(text: str, kind: TextKind) -> bytes:
    """16 bytes, equal for two texts exactly if they are the same text of the same kind."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES, person=kind.name.encode())
    for piece in kind.normalise(text):
        digest.update(piece.encode())
    return digest.digest()
