"""Text made plain before it is read: signs that mean the same, brackets, pieces between separators."""

from __future__ import annotations

import re

from mathcode_assets.verification.values import Unreadable

MAX_CHARS = 100_000

# No general normalisation: NFKC would turn 10² into 102 and 1½ into 11/2.
_SAME = {
    0x2212: "-", 0x2013: "-", 0x2010: "-", 0x2011: "-", 0xFE63: "-", 0x00D7: "*", 0x22C5: "*", 0x00B7: "*", 0x2217: "*",
    0x00F7: "/", 0x2215: "/", 0x2044: "/", 0x2261: "=", 0x221E: "oo", 0x03C0: "pi", 0x2264: "<=", 0x2265: ">=",
    0x2260: "!=", 0x00A0: " ", 0x2009: " ", 0x202F: " ", 0x2002: " ", 0x2003: " ", 0x200A: " ", 0x2005: " ",
    0x2062: "*", 0xFEFF: "", 0x200B: "", 0x2032: "'", 0x2248: "≈", 0x2245: "≈", 0x2243: "≈", 0x02DA: "°", 0x00BA: "°",
    0x2205: "EmptySet", 0x211D: "Reals", 0x2208: " in ", 0x2228: "|", 0x2227: "&",
}  # fmt: skip
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_RAISED = re.compile(f"[{_SUPERSCRIPTS}]+")
_LOWERED = {0x2080 + digit: str(digit) for digit in range(10)}
_GREEK = {
    0x03B1: "alpha", 0x03B2: "beta", 0x03B3: "gamma", 0x03B4: "delta", 0x03B5: "epsilon", 0x03B8: "theta",
    0x03BB: "lamda", 0x03BC: "mu", 0x03C1: "rho", 0x03C3: "sigma", 0x03C4: "tau", 0x03C6: "phi", 0x03D5: "phi",
    0x03C9: "omega", 0x0393: "Gamma", 0x0394: "Delta",
}  # fmt: skip
_TABLE = _SAME | _FULL_WIDTH | _LOWERED
# Bidirectional controls make text read in another order than it is stored in.
_REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_OPENING, _CLOSING = "([{", ")]}"


def plain(text: str) -> str:
    """The text with typographic signs as ASCII ones.

    Raises:
        Unreadable: too long, or with characters that reorder it.
    """
    if len(text) > MAX_CHARS:
        raise Unreadable("too long")
    if text.isascii():
        return text
    if _REORDERING.search(text):
        raise Unreadable("characters that reorder the text")
    text = _RAISED.sub(lambda found: f"**({_raised(found[0])})", text).translate(_TABLE)
    for code, name in _GREEK.items():
        if chr(code) in text:
            text = re.sub(rf"(?<![A-Za-z]){chr(code)}(?![A-Za-z])", name, text)
    return re.sub(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])", r"sqrt(\1)", text).replace("√", "sqrt")


def _raised(digits: str) -> str:
    return "".join("-" if digit == "⁻" else str(_SUPERSCRIPTS.index(digit)) for digit in digits)


def split_top(text: str, separators: re.Pattern[str]) -> list[str]:
    """Pieces between separators that stand outside brackets."""
    if not separators.search(text):
        return [text]
    pieces, start = [], 0
    depths = depth_of(text)
    for found in separators.finditer(text):
        if depths[found.start()] == 0 and found.start() >= start:
            pieces.append(text[start : found.start()])
            start = found.end()
    pieces.append(text[start:])
    return pieces


def depth_of(text: str) -> list[int]:
    """Open brackets before each character; the kinds are not told apart, so that [0, 1) closes too."""
    depth, depths = 0, []
    for character in text:
        if character in _CLOSING:
            depth = max(depth - 1, 0)
        depths.append(depth)
        depth += character in _OPENING
    return depths


def is_enclosed(text: str) -> bool:
    """Whether the first bracket closes at the very end."""
    if len(text) < 2 or text[0] not in _OPENING or text[-1] not in _CLOSING:
        return False
    return all(depth > 0 for depth in depth_of(text)[1:-1])
