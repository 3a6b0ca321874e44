r"""Where mathematics stands in a text: ``$..$``, ``$$..$$``, ``\(..\)``, ``\[..\]`` and display environments.

One pass over the delimiters, so the time grows with the text and not with what is wrong in it. A delimiter that is
never closed opens nothing: a blank line, another opener or the length limit gives it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# Longer than any formula seen; what is longer is an unclosed delimiter.
MAX_INLINE_CHARS = 2_000
MAX_DISPLAY_CHARS = 20_000

_ENVIRONMENTS = "equation|align|alignat|flalign|gather|multline|displaymath|eqnarray|math"
_DELIMITER = re.compile(
    r"\\\\(?!\()|\\\$|\$\$|\$|\\[()\[\]]"
    rf"|\\begin\{{(?P<begin>(?:{_ENVIRONMENTS})\*?)\}}(?:\{{\d+\}})?|\\end\{{(?P<end>(?:{_ENVIRONMENTS})\*?)\}}"
    r"|\n[^\S\n]{0,20}\n"
)
_CLOSERS = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_FORMULA_SIGN = re.compile(r"[\\=^_<>+]")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")


class MathSpan(NamedTuple):
    r"""One piece of mathematics.

    Attributes:
        start: first character of the opening delimiter.
        end: one after the closing delimiter.
        inner_start: first character between the delimiters.
        inner_end: one after the last.
        kind: ``$``, ``$$``, ``\(``, ``\[`` or the name of the environment.
    """

    start: int
    end: int
    inner_start: int
    inner_end: int
    kind: str


class _Opener(NamedTuple):
    kind: str
    start: int
    end: int


def find_math(text: str) -> Iterator[MathSpan]:
    """The mathematics of a text, in order, without overlaps.

    Dollars that are money (``costs $5 and $7``) are told by what stands between them: beside a space, or before a
    digit, dollars need a formula sign between them and no plain words.
    """
    opener: _Opener | None = None
    for match in _DELIMITER.finditer(text):
        sign = match.group()
        if sign.startswith("\\\\") or sign == "\\$":
            continue
        begin, end = match.group("begin"), match.group("end")
        if opener is not None:
            is_inline = opener.kind in ("$", "\\(")
            if match.start() - opener.end > (MAX_INLINE_CHARS if is_inline else MAX_DISPLAY_CHARS):
                opener = None
        if sign[0] == "\n":
            if opener is not None and opener.kind in ("$", "$$", "\\("):
                opener = None
            continue
        if opener is None:
            opener = _opened(match, begin)
            continue
        if opener.kind in _CLOSERS:
            if sign == _CLOSERS[opener.kind]:
                if opener.kind == "$" and _is_money(text, opener.end, match.start()):
                    opener = _opened(match, begin)
                    continue
                yield MathSpan(opener.start, match.end(), opener.end, match.start(), opener.kind)
                opener = None
            elif opener.kind == "$" and sign == "$$":
                if not _is_money(text, opener.end, match.start()):
                    middle = match.start() + 1
                    yield MathSpan(opener.start, middle, opener.end, match.start(), "$")
                    opener = _Opener("$", middle, match.end())
                else:
                    opener = _opened(match, begin)
            elif begin or sign in ("\\(", "\\["):
                opener = _opened(match, begin) if opener.kind == "$" or not begin else opener
        elif end == opener.kind:
            yield MathSpan(opener.start, match.end(), opener.end, match.start(), opener.kind)
            opener = None
        elif begin:
            opener = _opened(match, begin)


def _opened(match: re.Match[str], begin: str | None) -> _Opener | None:
    sign = match.group()
    if begin:
        return _Opener(begin, *match.span())
    return _Opener(sign, *match.span()) if sign in _CLOSERS else None


def _is_money(text: str, start: int, end: int) -> bool:
    """Whether what stands between two dollars is prose between two prices."""
    inner = text[start:end]
    if not inner.strip():
        return True
    has_sign = _FORMULA_SIGN.search(inner) is not None
    words = len(_WORD.findall(inner))
    if text[end + 1 : end + 2].isdigit() and (inner[-1].isspace() or words > 1):
        return True
    if inner[0].isdigit() or inner[0].isspace() or inner[-1].isspace():
        return words > (3 if has_sign else 0) and "\\" not in inner
    return words > 3 and not has_sign
