"""The tokens of one formula and how far they are read."""

from __future__ import annotations

from mathcode_assets.latex.nodes import LatexSyntaxError
from mathcode_assets.latex.tokens import PUNCTUATION, Token


class Cursor:
    """A place among tokens, the last of which is EOF."""

    def __init__(self, source: str, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.position = 0

    def peek(self, ahead: int = 0) -> Token:
        """The next token, or one behind it."""
        return self.tokens[min(self.position + ahead, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """The next token, now read."""
        token = self.peek()
        self.position += 1
        return token

    def accept(self, text: str) -> bool:
        """Reads the next token if it is this sign."""
        if self.peek().text == text and self.peek().kind == PUNCTUATION:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Reads this sign, or fails."""
        if not self.accept(text):
            raise self.error(f"no {text} where one is needed")

    def error(self, reason: str) -> LatexSyntaxError:
        """An error at the next token."""
        return LatexSyntaxError(self.peek().start, reason)
