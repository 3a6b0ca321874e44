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

# Few characters of a page are in the table: finding them first costs a third of `str.translate`.
_ODD_CHARACTER = re.compile(f"[{re.escape(''.join(map(chr, _CHARACTERS)))}]")

# PDFium writes a hyphen at a line's end as U+FFFE and drops the line break; U+00AD is a soft hyphen.
_CUT = re.compile(r"(?<=[^\W\d_])(?:\ufffe\n?|\u00ad\n|-\n)(?=[^\W\d_])")
_WORD = re.compile(r"[^\W\d_]+")
_LAST_WORD = re.compile(r"[^\W\d_]+\Z")
_HYPHENATED = re.compile(r"(?<![^\W\d_])[^\W\d_]++-[^\W\d_]++")
_LONGEST_WORD = 60  # letters that are looked back for
_LEADERS = re.compile(r"(?<![ \t])[ \t]*+\.(?:[ \t]*+\.){4,}+")  # dots of a table of contents
_BAR = re.compile(r"\f(?:\s*\f)+")  # pieces of one tall bar, one on each line
# TeX draws "not equal" and "not in" as two glyphs, of which the slash arrives as a 6 or a slash.
_STRUCK_OUT = re.compile(r"(?<=\s)6=(?=\s)|∈/")
# Marks that Nougat-like converters leave for a page they gave up on.
_MISSING_PAGE = re.compile(r"\[MISSING_PAGE(?:_[A-Z]+)?(?::\d+)?\]\n?")

_SENTENCE_END = re.compile(r"[.?!:][\"'”’)\]]{0,3}\Z")
_LOOK_BACK = 4  # characters of a line's end that tell whether a sentence ends there
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
    # Lists of pieces, joined once: a book without a full stop would be copied for each of its pages.
    paragraphs: list[list[str]] = []
    for page in joined:
        found = _paragraphs(page)
        if found and paragraphs and _goes_on(paragraphs[-1][-1], found[0]):
            paragraphs[-1].append(found.pop(0))
        paragraphs.extend([paragraph] for paragraph in found)
    return "\n\n".join(drop_repetitions([" ".join(pieces) for pieces in paragraphs]))


def _characters(page: str) -> str:
    text = page.replace("\r\n", "\n").replace("\r", "\n")
    text = _ODD_CHARACTER.sub(lambda odd: _CHARACTERS[ord(odd[0])] or "", text)
    if "\f" in text:
        text = _BAR.sub(" | ", text).replace("\f", " ")
    if "6=" in text or "∈/" in text:
        text = _STRUCK_OUT.sub(lambda struck: "∉" if struck[0] == "∈/" else "≠", text)
    return _LEADERS.sub(" …", _MISSING_PAGE.sub("", text))


def _join_cut_words(pages: list[str]) -> list[str]:
    """Cut words whole again; with their hyphen where the book itself writes them so elsewhere."""
    lowered = "\f".join(pages).lower()
    words: Counter[str] = Counter()
    hyphenated: Counter[str] = Counter()
    if _CUT.search(lowered):
        words.update(_WORD.findall(lowered))
        hyphenated.update(_HYPHENATED.findall(lowered))

    def join(cut: re.Match[str]) -> str:
        text, start, end = cut.string, cut.start(), cut.end()
        left = _LAST_WORD.search(text, max(0, start - _LONGEST_WORD), start)[0].lower()
        right = _WORD.match(text, end, end + _LONGEST_WORD)[0]
        keeps_hyphen = hyphenated[f"{left}-{right.lower()}"] > words[left + right.lower()]
        return "-" if right[0].isupper() or keeps_hyphen else ""

    # What is left of U+FFFE stood between a word and a formula.
    return [_CUT.sub(join, page).replace("\ufffe", "-").replace("\u00ad", "") for page in pages]


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
    current: list[str] = []  # lines of the paragraph, each behind what joins it to the one before
    previous = ""
    for line in lines:
        # A blank line ends a sentence that is ended; PDFium also puts one where it skips a glyph.
        ends = current and _ends_sentence(previous)
        if not line:
            if ends:
                paragraphs.append("".join(current))
                current = []
            continue
        if not current:
            current = [line]
        elif previous.endswith(";") or (ends and _ITEM.match(line)):
            current += ["\n", line]
        elif _is_fragment(line) or _is_fragment(previous) or len(previous) >= full:
            current += [" ", line]
        elif ends:
            paragraphs.append("".join(current))
            current = [line]
        else:
            current += ["\n", line]
        previous = line
    return [*paragraphs, "".join(current)] if current else paragraphs


def _is_fragment(line: str) -> bool:
    return len(line) <= _FRAGMENT_CHARS and not _CODE_LINE.search(line)


def _goes_on(before: str, after: str) -> bool:
    """Whether a paragraph runs over the page break."""
    return not _ends_sentence(before) and after[:1].islower()


def _ends_sentence(text: str) -> bool:
    return _SENTENCE_END.search(text[-_LOOK_BACK:]) is not None
