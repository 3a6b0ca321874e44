"""Formula features: how much of a text is formulas, the words of mathematics, or code.

fastText learns the words of its training sources, so pages of other origin, and pages whose LaTeX was
stripped, are where it fails. These counts hold across sources. One pass over the UTF-8 bytes, compiled;
every feature is ``log1p(100 * count / words)`` unless `FEATURE_NAMES` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from mathcode_assets.filtering.lexicon import FNV_OFFSET, FNV_PRIME, TABLE_SIZE, lexicon_table

# Counted per word of the text, except: word_length is letters per word.
FEATURE_NAMES = (
    "latex_commands",  # \alpha, \frac
    "dollar_signs",
    "display_formulas",  # $$, \[, \(, \begin{
    "relations",  # a lone =, <, >, or a relation sign of Unicode
    "arithmetic",  # + - * / between digits or brackets
    "math_symbols",  # ∑ ∈ ≤ × ± →, and mathematical alphanumerics
    "greek_letters",
    "single_letters",  # a letter standing alone (not a, I)
    "digits",
    "scripts",  # x^2, a_n, a_{ij}
    "mathematical_words",  # function, sum, sample: common in mathematics, not only there
    "strictly_mathematical_words",  # theorem, polynomial, denominator
    "programming_words",
    "code_marks",  # (), ==, ->, ::, &&, snake_case, .call(
    "code_lines",  # lines that end in ; { } or begin like code; counted per line
    "word_length",
)
N_FEATURES = len(FEATURE_NAMES)

# Enough for a stable density; a page of the web has 2,000 to 10,000 characters.
MAX_FEATURE_CHARS = 20_000

(
    _COMMANDS,
    _DOLLARS,
    _DISPLAY,
    _RELATIONS,
    _ARITHMETIC,
    _MATH_SYMBOLS,
    _GREEK,
    _SINGLE,
    _DIGITS,
    _SCRIPTS,
    _MATH_WORDS,
    _STRICT_WORDS,
    _PROGRAMMING_WORDS,
    _CODE_MARKS,
    _CODE_LINES,
    _WORD_LENGTH,
) = range(N_FEATURES)


def formula_features(texts: Sequence[str]) -> np.ndarray:
    """One row of `FEATURE_NAMES` for each text: float32, finite, >= 0, about 0 to 7."""
    encoded = [text[:MAX_FEATURE_CHARS].encode() for text in texts]
    if not encoded:
        return np.zeros((0, N_FEATURES), dtype=np.float32)
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return feature_rows(data, offsets)


def densities(features: np.ndarray, *names: str) -> np.ndarray:
    """Counts per 100 words (code_lines: percent of lines) of the named features, summed, one for each row."""
    columns = [FEATURE_NAMES.index(name) for name in names]
    return np.expm1(features[:, columns].astype(np.float64)).sum(axis=1)


def feature_rows(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """`formula_features` of texts that lie one after another in ``data`` (UTF-8 bytes)."""
    rows = np.zeros((len(offsets) - 1, N_FEATURES), dtype=np.float32)
    for number in range(len(rows)):
        _count(data[offsets[number] : offsets[number + 1]], _LEXICON_KEYS, _LEXICON_CLASSES, rows[number])
    return rows


_LEXICON_KEYS, _LEXICON_CLASSES = lexicon_table()

# Classes of bytes.
_OTHER, _LETTER, _DIGIT, _SPACE, _NEWLINE, _OPERATOR = 0, 1, 2, 3, 4, 5


def _byte_classes() -> np.ndarray:
    classes = np.zeros(256, dtype=np.uint8)
    for members, number in (
        (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", _LETTER),
        (b"0123456789", _DIGIT),
        (b" \t\r\x0b\x0c\x00", _SPACE),
        (b"\n", _NEWLINE),
        (b"!%&*+-/:<=>|~", _OPERATOR),
    ):
        classes[list(members)] = number
    return classes


_BYTE_CLASSES = _byte_classes()


@njit(cache=True)
def _count(text: np.ndarray, keys: np.ndarray, lexicon: np.ndarray, out: np.ndarray) -> None:
    """Write the features of one text into ``out``. ``text`` is UTF-8; a byte past its end reads as newline."""
    counts = np.zeros(N_FEATURES, dtype=np.int64)
    n_words, n_letters, n_runs, n_lines, n_code_lines = 0, 0, 0, 0, 0
    # State of the line: where it starts, its last visible byte, signs of code, signs of formulas.
    line_begin, line_last, line_marks, line_formulas = -1, 0, 0, 0
    line_starter, in_fence = False, False
    size = len(text)
    last_run_length = 0
    position = 0
    while position <= size:
        byte = text[position] if position < size else 10
        kind = _BYTE_CLASSES[byte]
        if kind == _NEWLINE:
            if line_begin >= 0:
                n_lines += 1
                fence = _is_fence(text, line_begin, size)
                if fence:
                    in_fence = not in_fence
                    counts[_CODE_MARKS] += 1
                ends_as_code = line_last == 59 or line_last == 123 or line_last == 125  # ; { }
                if (
                    fence
                    or in_fence
                    or (line_formulas == 0 and (ends_as_code or line_starter or line_marks > 1))
                ):
                    n_code_lines += 1
            line_begin, line_last, line_marks, line_formulas, line_starter = -1, 0, 0, 0, False
            position += 1
            continue
        if kind == _SPACE:
            position += 1
            continue
        before = text[position - 1] if position > 0 else 10
        after = text[position + 1] if position + 1 < size else 10
        before_kind = _BYTE_CLASSES[before]
        if before_kind == _SPACE or before_kind == _NEWLINE:
            n_words += 1
        at_line_start = line_begin < 0
        if at_line_start:
            line_begin = position
        line_last = byte
        if kind == _LETTER:
            end = position
            value = FNV_OFFSET
            while end < size and _BYTE_CLASSES[text[end]] == _LETTER:
                value = (value ^ np.uint64(text[end] | 32)) * FNV_PRIME
                end += 1
            length = end - position
            after = text[end] if end < size else 10
            n_letters += length
            n_runs += 1
            line_last = text[end - 1]
            if before == 92:  # \\
                counts[_COMMANDS] += 1
                line_formulas += 1
                if (
                    after == 123 and length == 5 and text[position] == 98 and text[position + 1] == 101
                ):  # begin{
                    counts[_DISPLAY] += 1
            elif length == 1 and before_kind != _DIGIT and before != 39 and before != 46 and before < 128:
                if after != 39 and after != 46 and byte | 32 != 97 and byte != 73 and before != 95:
                    counts[_SINGLE] += 1
            else:
                classes = _probe(value, keys, lexicon)
                if classes & 1:
                    counts[_STRICT_WORDS] += 1
                if classes & 2:
                    counts[_MATH_WORDS] += 1
                if classes & 4:
                    counts[_PROGRAMMING_WORDS] += 1
                if classes & 8 and at_line_start and byte >= 97 and after == 32:
                    line_starter = True
            mark = 0
            if (before == 95 and length > 1 and last_run_length > 1 and position > 1) or (
                after == 40 and length > 1 and before == 46 and position > 1
            ):  # snake_case
                mark = 1 if _BYTE_CLASSES[text[position - 2]] == _LETTER else 0
            elif after == 40 and length > 1 and end + 1 < size and text[end + 1] == 41:  # call()
                mark = 1
            if before != 92:
                counts[_CODE_MARKS] += mark
                line_marks += mark
            last_run_length = length
            position = end
            continue
        if kind == _DIGIT:
            counts[_DIGITS] += 1
        elif byte == 36:  # $
            counts[_DOLLARS] += 1
            line_formulas += 1
            if after == 36:
                counts[_DISPLAY] += 1
        elif byte == 92:  # \\
            line_formulas += 1
            if after == 91 or after == 40:
                counts[_DISPLAY] += 1
        elif byte == 94 or byte == 95:  # ^ _
            base = before == 125 or before == 41 or before_kind == _DIGIT
            if before_kind == _LETTER:
                base = last_run_length == 1 or byte == 94
            if base and (after == 123 or _BYTE_CLASSES[after] == _LETTER or _BYTE_CLASSES[after] == _DIGIT):
                counts[_SCRIPTS] += 1
        elif kind == _OPERATOR:
            doubled = _BYTE_CLASSES[after] == _OPERATOR
            if (byte == 61 or byte == 60 or byte == 62) and not doubled and before_kind != _OPERATOR:
                counts[_RELATIONS] += 1
            elif doubled and _is_code_pair(byte, after):
                counts[_CODE_MARKS] += 1
                line_marks += 1
            if _is_arithmetic(text, position, size):
                counts[_ARITHMETIC] += 1
        elif byte >= 0xC2:
            third = text[position + 2] if position + 2 < size else 0
            symbol = _symbol_class(byte, after, third)
            if symbol >= 0:
                counts[symbol] += 1
                if symbol == _MATH_SYMBOLS and byte == 0xE2 and after == 0x89 and third >= 0x82:
                    counts[_RELATIONS] += third == 0x88 or third == 0xA1 or third == 0xA4 or third == 0xA5
        position += 1
    words = max(1, n_words)
    for number in range(N_FEATURES):
        out[number] = np.log1p(100.0 * counts[number] / words)
    out[_CODE_LINES] = np.log1p(100.0 * n_code_lines / max(1, n_lines))
    out[_WORD_LENGTH] = n_letters / max(1, n_runs)


@njit(cache=True)
def _probe(value: np.uint64, keys: np.ndarray, lexicon: np.ndarray) -> int:
    slot = value & np.uint64(TABLE_SIZE - 1)
    while lexicon[slot]:
        if keys[slot] == value:
            return lexicon[slot]
        slot = (slot + np.uint64(1)) & np.uint64(TABLE_SIZE - 1)
    return 0


@njit(cache=True)
def _is_fence(text: np.ndarray, begin: int, size: int) -> bool:
    if begin + 2 >= size or (text[begin] != 96 and text[begin] != 126):  # ``` or ~~~
        return False
    return text[begin + 1] == text[begin] and text[begin + 2] == text[begin]


@njit(cache=True)
def _is_code_pair(first: int, second: int) -> bool:
    """== != -> => :: && || // </ and the like."""
    if second == 61:  # == != += -= *= := (but <= and >= are mathematics too)
        return first != 60 and first != 62
    if second == 62:  # -> =>
        return first == 45 or first == 61
    return (first == second and (first == 58 or first == 38 or first == 124 or first == 47)) or (
        first == 60 and second == 47
    )


@njit(cache=True)
def _is_arithmetic(text: np.ndarray, position: int, size: int) -> bool:
    """+ * / = between digits or brackets; - only with spaces around it, because 2020-11 is a date."""
    byte = text[position]
    if byte != 43 and byte != 42 and byte != 47 and byte != 61 and byte != 45:
        return False
    left, right = position - 1, position + 1
    spaced = left >= 0 and text[left] == 32
    if spaced:
        left -= 1
    if right < size and text[right] == 32:
        right += 1
    elif byte == 45:
        return False
    if left < 0 or right >= size or (byte == 45 and not spaced):
        return False
    left_fits = _BYTE_CLASSES[text[left]] == _DIGIT or text[left] == 41 or text[left] == 125
    return left_fits and (_BYTE_CLASSES[text[right]] == _DIGIT or text[right] == 40 or text[right] == 92)


@njit(cache=True)
def _symbol_class(lead: int, second: int, third: int) -> int:
    """Feature number of the mathematical character that starts with these UTF-8 bytes, or -1."""
    if lead == 0xCE or lead == 0xCF:
        return _GREEK
    if lead == 0xC2:
        return _MATH_SYMBOLS if second == 0xB1 or second == 0xAC else -1  # ± ¬
    if lead == 0xC3:
        return _MATH_SYMBOLS if second == 0x97 or second == 0xB7 else -1  # × ÷
    if lead == 0xE2:
        if 0x86 <= second <= 0x8B and not (second == 0x88 and third == 0x99):  # arrows, operators
            return _MATH_SYMBOLS
        if second == 0x84 and third != 0xA2:  # ℝ ℕ ℂ, not ™
            return _MATH_SYMBOLS
        if (second == 0x81 and third >= 0xB0) or (
            second == 0x82 and third <= 0x9C
        ):  # superscripts, subscripts
            return _SCRIPTS
        return -1
    return _MATH_SYMBOLS if lead == 0xF0 and second == 0x9D and third >= 0x90 else -1  # 𝑥 𝐀
