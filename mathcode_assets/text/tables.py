r"""Look-up tables of the normalisation kernel: characters, LaTeX commands, number words.

What is the same question in another dress must give the same tokens, so the tables say which
characters and commands carry meaning and which are only dress:

- letters fold to lower case without accents (NFKC, case folding, marks removed), so ``ﬁ`` is ``fi``
  and ``𝑥`` is ``x``; Greek letters and the common symbols become the name of their LaTeX command;
- commands for fonts, spacing, delimiters and arrangement are dropped; so are relations and
  operators, because ``\leq``, ``≤`` and ``<=`` are one thing (`normalise.operators` compares them
  where a question is so short that they decide);
- number words carry their value.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np

MASK64 = (1 << 64) - 1
WORD_SEED = 0xCBF29CE484222325
WORD_PRIME = 0xD1342543DE82EF95
FINAL_PRIME = 0x9E3779B97F4A7C15

# Bytes. Values are the branches of the kernel.
SEPARATOR, LETTER, DIGIT, BACKSLASH, WIDE, POINT, AMPERSAND, LESS_THAN = range(8)
# Code points above ASCII.
FOLD_SEPARATOR, FOLD_LETTERS, FOLD_DIGIT, FOLD_IGNORED, FOLD_APOSTROPHE, FOLD_SYMBOL, FOLD_FRACTION = range(7)
# Words and commands.
PLAIN, UNIT, TENS, MULTIPLIER, FRACTION, DROPPED, ALIAS, ENVIRONMENT, FRAC = range(9)

FOLD_SIZE = 0x20000  # planes 0 and 1 hold every letter and mathematical alphanumeric symbol
SLOTS = 2048

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_MULTIPLIERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
# Parts and multiples. "second" is left out: it is a unit of time more often than a part.
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8,
    "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10, "twice": 102, "thrice": 103, "double": 202,
    "triple": 203, "dozen": 312,
}  # fmt: skip
_VULGAR = {"½": 2, "⅓": 3, "¼": 4, "⅕": 5, "⅙": 6, "⅐": 7, "⅛": 8, "⅑": 9, "⅒": 10}


def _words(text: str) -> list[str]:
    return text.split()


_DRESS = _words(
    # fonts and boxes
    "text textbf textit textrm textsf texttt textnormal textsc emph mbox hbox fbox boxed underline bm "
    "pmb mathrm mathbf mathit mathbb mathcal mathfrak mathsf mathtt mathnormal mathscr boldsymbol rm bf "
    "it sf tt cal em operatorname mathop mathbin mathrel mathord displaystyle textstyle scriptstyle "
    "scriptscriptstyle rmfamily bfseries itshape large small tiny huge normalsize "
    # delimiters
    "left right middle big bigl bigr bigm bigg biggl biggr lbrace rbrace lbrack rbrack langle rangle "
    "lvert rvert lfloor rfloor lceil rceil vert limits nolimits "
    # spacing and arrangement
    "quad qquad enspace thinspace medspace thickspace negthinspace hspace vspace hfill hline cline "
    "phantom hphantom vphantom smash strut noindent indent par newline linebreak item label tag "
    "nonumber notag displaylimits stackrel overset underset allowbreak kern mskip hskip vskip smallskip "
    "medskip bigskip centering "
    # relations, operators, dots
    "leq geq le ge leqslant geqslant lt gt neq ne times cdot div ast star to rightarrow longrightarrow "
    "gets ldots cdots dots dotsc dotsb vdots ddots circ degree prime colon percent "
)
_ALIASES = {
    "dbinom": "binom", "tbinom": "binom", "lnot": "neg", "land": "wedge", "lor": "vee", "varphi": "phi",
    "varepsilon": "epsilon", "vartheta": "theta", "iff": "leftrightarrow", "implies": "rightarrow",
    "emptyset": "varnothing", "lcm": "lcm", "setminus": "backslash",
}  # fmt: skip
_FRACS = ("frac", "dfrac", "tfrac", "cfrac")
_ENVIRONMENTS = ("begin", "end")
_SYMBOLS = {
    "√": "sqrt", "∞": "infty", "∑": "sum", "∏": "prod", "∫": "int", "∈": "in", "∉": "notin", "∪": "cup",
    "∩": "cap", "⊂": "subset", "⊆": "subseteq", "∀": "forall", "∃": "exists", "∂": "partial", "∇": "nabla",
    "∠": "angle", "△": "triangle", "⊥": "perp", "∥": "parallel", "≡": "equiv", "≅": "cong", "≈": "approx",
    "∣": "mid", "∅": "varnothing", "¬": "neg", "∧": "wedge", "∨": "vee", "±": "pm", "∼": "sim", "↦": "mapsto",
    "⊕": "oplus", "⊗": "otimes", "ℓ": "ell", "ħ": "hbar", "ϕ": "phi", "ϵ": "epsilon", "ϑ": "theta",
}  # fmt: skip
_TAGS = [
    "p",
    "br",
    "i",
    "b",
    "u",
    "em",
    "strong",
    "sub",
    "sup",
    "span",
    "div",
    "li",
    "ul",
    "ol",
    "td",
    "tr",
    "th",
    "table",
    "tbody",
    "thead",
    "code",
    "pre",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "blockquote",
    "font",
    "small",
    "big",
    "tt",
]
_APOSTROPHES = "’‘ʼ′＇"


# One array holds all tables: every array argument costs the kernel a reference count for each call, which
# made twelve arrays ten times slower than one. Sections by their first element:
BYTE_CLASS = 0  # [256]
WORD_KEY = 256  # [SLOTS] open addressing, 0 is empty; then kinds and values of the same slots
COMMAND_KEY = WORD_KEY + 3 * SLOTS
TAG_KEY = COMMAND_KEY + 3 * SLOTS
FOLD_KIND = TAG_KEY + 3 * SLOTS  # [FOLD_SIZE]
FOLD_VALUE = FOLD_KIND + FOLD_SIZE  # [FOLD_SIZE] hash, digit, fraction, or first << 8 | count of the letters
FOLD_POINTS = FOLD_VALUE + FOLD_SIZE  # code points of letters


def word_hash(word: str) -> int:
    """Token hash of a lower-case word, as the kernel computes it.

    ASCII letters are gathered eight at a time, so that a word costs one multiplication or two;
    other code points are multiplied in one by one.
    """
    value, gathered, count = WORD_SEED, 0, 0
    for letter in word:
        if ord(letter) < 128:
            gathered, count = gathered << 8 | ord(letter), count + 1
            if count == 8:
                value, gathered, count = gather(value, gathered), 0, 0
        else:
            value, gathered, count = gather(gather(value, gathered), ord(letter)), 0, 0
    return _finish(gather(value, gathered))


def gather(value: int, letters: int) -> int:
    """One step of the hash: up to eight letters, or one code point, mixed in."""
    value = ((value ^ letters) * WORD_PRIME) & MASK64
    return value ^ value >> 32


def _finish(value: int) -> int:
    value = (value * FINAL_PRIME) & MASK64
    return value ^ (value >> 29)


@lru_cache(maxsize=1)
def tables() -> np.ndarray:
    """The tables, uint64, computed at first use (about 0.2 s) and kept; sections as named above."""
    words: dict[int, tuple[int, int]] = {}
    for value, word in enumerate(_UNITS):
        words[word_hash(word)] = (UNIT, value)
    for number, word in enumerate(_TENS):
        words[word_hash(word)] = (TENS, 10 * (number + 2))
    for word, value in _MULTIPLIERS.items():
        words[word_hash(word)] = (MULTIPLIER, value)
    for word, value in _PARTS.items():
        words[word_hash(word)] = (FRACTION, value)
    commands = {word_hash(name): (DROPPED, 0) for name in _DRESS}
    commands |= {word_hash(name): (ALIAS, word_hash(other)) for name, other in _ALIASES.items()}
    commands |= {word_hash(name): (FRAC, 0) for name in _FRACS}
    commands |= {word_hash(name): (ENVIRONMENT, 0) for name in _ENVIRONMENTS}
    tags = {word_hash(tag): (DROPPED, 0) for tag in _TAGS}
    return np.concatenate([_byte_classes(), _slots(words), _slots(commands), _slots(tags), _fold_tables()])


def _byte_classes() -> np.ndarray:
    classes = np.full(256, SEPARATOR, np.uint64)
    for character in range(256):
        if chr(character).isascii() and chr(character).isalpha():
            classes[character] = LETTER
        elif 48 <= character <= 57:
            classes[character] = DIGIT
        elif character >= 128:
            classes[character] = WIDE
    classes[ord("\\")], classes[ord(".")], classes[ord("&")], classes[ord("<")] = (
        BACKSLASH, POINT, AMPERSAND, LESS_THAN,
    )  # fmt: skip
    return classes


def _fold_tables() -> np.ndarray:
    kinds, values = np.zeros(FOLD_SIZE, np.uint64), np.zeros(FOLD_SIZE, np.uint64)
    points: list[int] = []
    for code in range(128, FOLD_SIZE):
        if 0xD800 <= code <= 0xDFFF:
            continue
        kinds[code], value, letters = _fold(chr(code))
        values[code] = len(points) << 8 | len(letters) if letters else value
        points.extend(letters)
    return np.concatenate([kinds, values, np.array(points, np.uint64)])


def _fold(character: str) -> tuple[int, int, list[int]]:
    """Kind; value of a digit or fraction, or hash of a symbol; code points of letters."""
    if character in _VULGAR:
        return FOLD_FRACTION, _VULGAR[character], []
    if character in _APOSTROPHES:
        return FOLD_APOSTROPHE, 0, []
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return FOLD_IGNORED, 0, []
    decimal = unicodedata.digit(character, None)
    if decimal is not None:
        return FOLD_DIGIT, int(decimal), []
    plain = unicodedata.normalize("NFKD", character).casefold()
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    name = _SYMBOLS.get(plain) or _SYMBOLS.get(character) or _greek_name(plain)
    if name:
        return FOLD_SYMBOL, word_hash(name), []
    letters = [ord(c) for c in plain if c.isalpha()]
    if category[0] == "L" and letters and len(letters) == len(plain):
        return FOLD_LETTERS, 0, letters
    return FOLD_SEPARATOR, 0, []


def _greek_name(character: str) -> str | None:
    """``pi`` for π: what the LaTeX command of the letter is called."""
    if len(character) != 1 or not 0x3B1 <= ord(character) <= 0x3C9:
        return None
    name = unicodedata.name(character).split()[-1].lower()
    return "lambda" if name == "lamda" else name


def _slots(entries: dict[int, tuple[int, int]]) -> np.ndarray:
    keys, kinds, values = (np.zeros(SLOTS, np.uint64) for _ in range(3))
    for key, (kind, value) in entries.items():
        slot = key % SLOTS
        while keys[slot]:
            slot = (slot + 1) % SLOTS
        keys[slot], kinds[slot], values[slot] = key, kind, value
    return np.concatenate([keys, kinds, values])
