"""Text as PDFium gives it, made into paragraphs (our own rules; MathCoder2 §2.1 for what they are for).

PDFium gives the lines of a page as they are drawn, without blank lines, with running heads and page
numbers among them, words cut at line ends, and big brackets as the codes of TeX's extension font.
In this order: characters, running heads, cut words, lines into paragraphs, pages into a book, marks of
missing pages, repeated paragraphs (`textbooks.repetition`). A page break ends a paragraph unless the text
plainly runs on.
"""

from __future__ import annotations

import re
from collections import Counter

from mathcode_assets.corpus.textbooks.repetition import drop_repetitions
from mathcode_assets.corpus.textbooks.running_heads import without_running_heads

# TeX's cmex10 has no Unicode names for its big delimiters, so they arrive as their codes 0x10-0x1d
# (measured: 0x12 and 0x13 occur equally often in 12 of 26 books); other fonts give bracket *pieces*,
# of which the upper hook stands for the whole. Codes 0x00 and 0x01 are a pair of which PDFium swallows
# the first, so neither is shown. 0x0f is the bullet of cmsy10. 0x0c, a form feed elsewhere, is a piece of
# a tall bar: PDFium parts no pages with it.
_CHARACTERS: dict[int, str | None] = {
    **dict.fromkeys(range(0x09), None),
    **dict.fromkeys(range(0x0E, 0x20), None),
    **dict.fromkeys(range(0x7F, 0xA0), None),
    0x0B: "\n",
    0x0F: "•",
    **{0x10 + code: char for code, char in enumerate("()()[]⌊⌋⌈⌉{}⟨⟩")},
    0x85: "\n",
    **{0x2028: "\n", 0x2029: "\n\n", 0xA0: " ", 0xFEFF: None, 0xFFFF: None, 0xFFFD: None},
    **{ord(glyphs[0]): glyphs[1:] for glyphs in ["ﬀff", "ﬁfi", "ﬂfl", "ﬃffi", "ﬄffl", "ﬅst", "ﬆst"]},
    **dict.fromkeys([*range(0xF8E5, 0xF8FF), *range(0x239B, 0x23AE)], None),
    **{0xF8EB: "(", 0xF8F6: ")", 0xF8EE: "[", 0xF8F9: "]", 0xF8F1: "{", 0xF8FC: "}"},
    **{0x239B: "(", 0x239E: ")", 0x23A1: "[", 0x23A4: "]", 0x23A7: "{", 0x23AB: "}"},
}

# PDFium writes a hyphen at a line's end as U+FFFE and drops the line break; U+00AD is a soft hyphen.
_CUT_WORD = re.compile(r"([^\W\d_]+)(?:\ufffe\n?|\u00ad\n|-\n(?=[^\W\d_]))([^\W\d_]+)")
_HYPHENATED = re.compile(r"[^\W\d_]+-[^\W\d_]+")
_WORD = re.compile(r"[^\W\d_]+")
_LEADERS = re.compile(r"(?:[ \t]*\.){5,}")  # dots of a table of contents
_BAR = re.compile(r"\f(?:\s*\f)+")  # pieces of one tall bar, one on each line
# TeX draws "not equal" and "not in" as two glyphs, of which the slash arrives as a 6 or a slash.
_STRUCK_OUT = re.compile(r"(?<=\s)6=(?=\s)|∈/")
# Marks that Nougat-like converters leave for a page they gave up on.
_MISSING_PAGE = re.compile(r"\[MISSING_PAGE(?:_[A-Z]+)?(?::\d+)?\]\n?")

_SENTENCE_END = re.compile(r"[.?!:][\"'”’)\]]*$")
_ITEM = re.compile(r"(?:\d{1,3}\.|\([a-z0-9]{1,4}\)|[ivx]{1,5}\.|[•–*])\s")  # of a list or of exercises
_FRAGMENT_CHARS = 4  # a line this short is a piece of a formula: an index, a limit, a lone operator
_CODE_LINE = re.compile(r"[{};]|\)[;,]")
_FULL_LINE_SHARE = 0.75
_USUAL_WIDTH = 60  # characters; where a page has too few lines of prose to tell


def clean_pages(pages: list[str]) -> str:
    """The pages of one book as a text of paragraphs parted by blank lines; empty if nothing is left."""
    lines = [_characters(page).split("\n") for page in pages]
    stripped = ["\n".join(page).strip() for page in without_running_heads(lines)]
    joined = _join_cut_words(stripped)
    paragraphs: list[str] = []
    for page in joined:
        found = _paragraphs(page)
        if found and paragraphs and _goes_on(paragraphs[-1], found[0]):
            paragraphs[-1] = f"{paragraphs[-1]} {found.pop(0)}"
        paragraphs.extend(found)
    return "\n\n".join(drop_repetitions(paragraphs))


def _characters(page: str) -> str:
    text = page.replace("\r\n", "\n").replace("\r", "\n").translate(_CHARACTERS)
    text = _BAR.sub(" | ", text).replace("\f", " ")
    text = _STRUCK_OUT.sub(lambda struck: "∉" if struck[0] == "∈/" else "≠", text)
    return _LEADERS.sub(" …", _MISSING_PAGE.sub("", text))


def _join_cut_words(pages: list[str]) -> list[str]:
    """Cut words whole again; with their hyphen where the book itself writes them so elsewhere."""
    words: Counter[str] = Counter()
    hyphenated: Counter[str] = Counter()
    cuts = {(cut[1].lower(), cut[2].lower()) for page in pages for cut in _CUT_WORD.finditer(page)}
    wanted = {left + right for left, right in cuts} | {f"{left}-{right}" for left, right in cuts}
    for page in pages:
        lowered = page.lower()
        words.update(word for word in _WORD.findall(lowered) if word in wanted)
        hyphenated.update(word for word in _HYPHENATED.findall(lowered) if word in wanted)

    def join(cut: re.Match[str]) -> str:
        left, right = cut[1], cut[2]
        whole, parted = (left + right).lower(), f"{left}-{right}".lower()
        if right[0].isupper() or hyphenated[parted] > words[whole]:
            return f"{left}-{right}"
        return left + right

    # What is left of U+FFFE stood between a word and a formula.
    return [_CUT_WORD.sub(join, page).replace("\ufffe", "-").replace("\u00ad", "") for page in pages]


def _paragraphs(page: str) -> list[str]:
    """Lines into paragraphs: full lines run on, a short one that ends a sentence ends the paragraph.

    Pieces of formulas (very short lines) are joined to their neighbours by a space; other short lines
    (headings, items, code) keep their line break.
    """
    lines = [" ".join(line.split()) for line in page.split("\n")]
    prose = sorted(len(line) for line in lines if len(line) >= 25)
    width = prose[len(prose) * 4 // 5] if len(prose) >= 5 else _USUAL_WIDTH
    full = _FULL_LINE_SHARE * width
    paragraphs: list[str] = []
    current = ""
    previous = ""
    for line in lines:
        if not line:
            # Blank lines come from the file's own layout, and PDFium puts one where it skips a glyph.
            if current and _SENTENCE_END.search(current):
                paragraphs.append(current)
                current = previous = ""
            continue
        if not current:
            current = line
        elif previous.endswith(";") or (_ITEM.match(line) and _SENTENCE_END.search(previous)):
            current = f"{current}\n{line}"
        elif _is_fragment(line) or _is_fragment(previous) or len(previous) >= full:
            current = f"{current} {line}"
        elif _SENTENCE_END.search(previous):
            paragraphs.append(current)
            current = line
        else:
            current = f"{current}\n{line}"
        previous = line
    return [*paragraphs, current] if current else paragraphs


def _is_fragment(line: str) -> bool:
    return len(line) <= _FRAGMENT_CHARS and not _CODE_LINE.search(line)


def _goes_on(before: str, after: str) -> bool:
    """Whether a paragraph runs over the page break."""
    return not _SENTENCE_END.search(before) and after[:1].islower()
