"""One compiled pass over the UTF-8 bytes of a text that counts signs of formulas, mathematics and code.

The text is walked by runs of letters and by single signs; a newline closes the line before it. What a run or
a sign counts as is a set of bits, made by functions that see a few bytes around it and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from mathcode_assets.filtering.lexicon import FNV_OFFSET, FNV_PRIME, TABLE_SIZE, lexicon_table

# Indices into counts: the features in the order of `features.FEATURE_NAMES`, then what they are divided by.
(
    COMMANDS,
    DOLLARS,
    DISPLAY,
    RELATIONS,
    ARITHMETIC,
    MATH_SYMBOLS,
    GREEK,
    SINGLE,
    DIGITS,
    SCRIPTS,
    MATH_WORDS,
    STRICT_WORDS,
    PROGRAMMING_WORDS,
    CODE_MARKS,
    CODE_LINES,
    LETTERS,
    RUNS,
    WORDS,
    LINES,
) = range(19)
N_COUNTS = 19
_N_BITS = CODE_MARKS + 1  # only these are counted by bits
# Two more bits that matter for the line alone.
_FORMULA_BIT = 1 << 20
_STARTER_BIT = 1 << 21

# Texts lie in one buffer with this around them, so that a few bytes around a position can always be read.
_PADDING = b"\n\n\n\n"

# Classes of bytes.
_OTHER, _LETTER, _DIGIT, _SPACE, _NEWLINE, _OPERATOR = range(6)


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


def _lexicon_bits_of_classes() -> np.ndarray:
    """Counter bits for each bit set of `lexicon.lexicon_table`."""
    bits = (1 << STRICT_WORDS, 1 << MATH_WORDS, 1 << PROGRAMMING_WORDS, _STARTER_BIT)
    return np.array([sum(bit for n, bit in enumerate(bits) if found >> n & 1) for found in range(16)])


_BYTE_CLASSES = _byte_classes()
_LEXICON_KEYS, _LEXICON_CLASSES = lexicon_table()
_LEXICON_BITS = _lexicon_bits_of_classes()
_AMPERSAND, _APOSTROPHE, _OPEN, _CLOSE, _DOT, _SLASH, _SPACE_SIGN = (ord(sign) for sign in "&'()./ ")
_COLON, _LESS, _EQUAL, _GREATER, _CARET, _UNDERSCORE, _BAR = (ord(sign) for sign in ":<=>^_|")
_STAR, _PLUS, _MINUS, _DOLLAR, _BACKSLASH, _BRACKET = (ord(sign) for sign in "*+-$\\[")
_BRACE, _UNBRACE, _SEMICOLON, _BACKTICK, _TILDE = (ord(sign) for sign in "{};`~")


def count_signs(texts: Sequence[bytes]) -> np.ndarray:
    """Counts of each text (UTF-8), one row each; columns are the indices of this module."""
    data = np.frombuffer(_PADDING + b"".join([text + _PADDING for text in texts]), dtype=np.uint8)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    ends = np.cumsum(lengths + len(_PADDING))
    counts = np.zeros((len(texts), N_COUNTS), dtype=np.int64)
    _count_all(data, ends - lengths, ends, counts)
    return counts


@njit(cache=True)
def _count_all(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> None:
    for row in range(len(counts)):
        _count(data, begins[row], ends[row], counts[row])


@njit(cache=True)
def _count(data: np.ndarray, begin: int, end: int, counts: np.ndarray) -> None:
    """Count one text. Helpers get bytes and never arrays: array arguments made the scan five times slower."""
    line_begin, line_marks, line_formulas, is_starter, is_fenced = -1, 0, 0, False, False
    line_last, last_run, position = 0, 0, begin
    while position <= end:  # the byte at end is a newline of the padding: it closes the last line
        byte, before = data[position], data[position - 1]
        kind, start = _BYTE_CLASSES[byte], position
        if kind == _NEWLINE:
            if line_begin >= 0:
                is_fence = _is_fence(data[line_begin], data[line_begin + 1], data[line_begin + 2])
                is_fenced ^= is_fence
                is_code = is_starter or line_marks > 1 or _ends_as_code(line_last)
                counts[LINES] += 1
                counts[CODE_MARKS] += is_fence
                counts[CODE_LINES] += is_fence or is_fenced or (is_code and line_formulas == 0)
            line_begin, line_marks, line_formulas, is_starter = -1, 0, 0, False
        elif kind != _SPACE:
            counts[WORDS] += _is_blank(before)
            if kind == _LETTER:
                value = FNV_OFFSET
                while _BYTE_CLASSES[data[position + 1]] == _LETTER:
                    value = (value ^ np.uint64(data[position] | 32)) * FNV_PRIME
                    position += 1
                value = (value ^ np.uint64(data[position] | 32)) * FNV_PRIME
                length, after = position + 1 - start, data[position + 1]
                bits = _word_bits(length, byte, data[start - 2], before, after, data[position + 2], last_run)
                if length > 1 and before != _BACKSLASH:
                    bits |= _lexicon_bits(value)
                    starts = bits & _STARTER_BIT != 0 and byte >= 97 and after == _SPACE_SIGN
                    is_starter |= starts and line_begin < 0
                counts[LETTERS] += length
                counts[RUNS] += 1
                last_run = length
            else:
                before2, after, after2 = data[position - 2], data[position + 1], data[position + 2]
                bits = _sign_bits(byte, kind, before2, before, after, after2, last_run)
            if line_begin < 0:
                line_begin = start
            line_last = data[position]
            line_marks += (bits >> CODE_MARKS) & 1
            line_formulas += bits & _FORMULA_BIT != 0
            for index in range(_N_BITS):
                counts[index] += (bits >> index) & 1
        position += 1


@njit(cache=True)
def _word_bits(length: int, first: int, before2: int, before: int, after: int, after2: int, last_run: int) -> int:
    """What a run of letters counts as, from its length, first letter and neighbours."""
    if before == _BACKSLASH:
        is_begin = length == 5 and first == 98 and after == _BRACE  # \begin{
        return (1 << COMMANDS) | (is_begin << DISPLAY) | _FORMULA_BIT
    if length == 1:
        return _stands_alone(first, before, after) << SINGLE
    follows_letter = _BYTE_CLASSES[before2] == _LETTER
    if before == _UNDERSCORE:  # snake_case
        return (follows_letter and last_run > 1) << CODE_MARKS
    is_call = after == _OPEN and ((before == _DOT and follows_letter) or after2 == _CLOSE)  # .call( call()
    return is_call << CODE_MARKS


@njit(cache=True)
def _stands_alone(letter: int, before: int, after: int) -> bool:
    """The x of "let x be", but not a, I, the s of "it's", or an initial with its dot."""
    if letter | 32 == 97 or letter == 73 or before >= 128 or _BYTE_CLASSES[before] == _DIGIT:
        return False
    if before in (_APOSTROPHE, _DOT, _UNDERSCORE):
        return False
    return after != _APOSTROPHE and after != _DOT


@njit(cache=True)
def _lexicon_bits(value: np.uint64) -> int:
    slot = value & np.uint64(TABLE_SIZE - 1)
    while _LEXICON_CLASSES[slot]:
        if _LEXICON_KEYS[slot] == value:
            return _LEXICON_BITS[_LEXICON_CLASSES[slot]]
        slot = (slot + np.uint64(1)) & np.uint64(TABLE_SIZE - 1)
    return 0


@njit(cache=True)
def _sign_bits(byte: int, kind: int, before2: int, before: int, after: int, after2: int, last_run: int) -> int:
    """What one byte counts as that is no letter, space or newline."""
    if kind == _DIGIT:
        return 1 << DIGITS
    if byte == _DOLLAR:
        return (1 << DOLLARS) | ((after == _DOLLAR) << DISPLAY) | _FORMULA_BIT
    if byte == _BACKSLASH:
        return ((after in (_BRACKET, _OPEN)) << DISPLAY) | _FORMULA_BIT
    if byte in (_CARET, _UNDERSCORE):
        return _is_script(byte, before, after, last_run) << SCRIPTS
    if kind == _OPERATOR:
        bits = _is_arithmetic(byte, before2, before, after, after2) << ARITHMETIC
        if _BYTE_CLASSES[after] == _OPERATOR:
            bits |= _is_code_pair(byte, after) << CODE_MARKS
        elif byte in (_EQUAL, _LESS, _GREATER):
            bits |= (_BYTE_CLASSES[before] != _OPERATOR) << RELATIONS
        return bits
    return _symbol_bits(byte, after, after2) if byte >= 0xC2 else 0


@njit(cache=True)
def _is_script(byte: int, before: int, after: int, last_run: int) -> bool:
    """The sign in x^2, x_1, )^{n+1}: but not the underscore of snake_case."""
    if _BYTE_CLASSES[before] == _LETTER:
        has_base = last_run == 1 or byte == _CARET
    else:
        has_base = before in (_UNBRACE, _CLOSE) or _BYTE_CLASSES[before] == _DIGIT
    after_kind = _BYTE_CLASSES[after]
    return has_base and (after == _BRACE or after_kind in (_LETTER, _DIGIT))


@njit(cache=True)
def _is_arithmetic(byte: int, before2: int, before: int, after: int, after2: int) -> bool:
    """+ * / = between digits or brackets; - only with spaces around it, because 2020-11 is a date."""
    if byte not in (_PLUS, _STAR, _SLASH, _EQUAL, _MINUS):
        return False
    if byte == _MINUS and (before != _SPACE_SIGN or after != _SPACE_SIGN):
        return False
    left = before2 if before == _SPACE_SIGN else before
    right = after2 if after == _SPACE_SIGN else after
    has_left = _BYTE_CLASSES[left] == _DIGIT or left in (_CLOSE, _UNBRACE)
    return has_left and (_BYTE_CLASSES[right] == _DIGIT or right in (_OPEN, _BACKSLASH))


@njit(cache=True)
def _is_code_pair(first: int, second: int) -> bool:
    """== != += := -> => :: && || // </ (but <= and >= are mathematics too)."""
    if second == _EQUAL:
        return first != _LESS and first != _GREATER
    if second == _GREATER:
        return first in (_MINUS, _EQUAL)
    if first == second:
        return first in (_COLON, _AMPERSAND, _BAR, _SLASH)
    return first == _LESS and second == _SLASH


@njit(cache=True)
def _symbol_bits(lead: int, second: int, third: int) -> int:
    """What the character counts as that starts with these UTF-8 bytes."""
    if lead == 0xCE or lead == 0xCF:
        return 1 << GREEK
    is_symbol = False
    if lead == 0xC2:
        is_symbol = second == 0xB1 or second == 0xAC  # ± ¬
    elif lead == 0xC3:
        is_symbol = second == 0x97 or second == 0xB7  # × ÷
    elif lead == 0xF0:
        is_symbol = second == 0x9D and third >= 0x90  # 𝑥 𝐀
    elif lead == 0xE2:
        if (second == 0x81 and third >= 0xB0) or (second == 0x82 and third <= 0x9C):  # ⁴ ₁
            return 1 << SCRIPTS
        if second == 0x89 and third in (0x88, 0xA1, 0xA4, 0xA5):  # ≈ ≡ ≤ ≥
            return (1 << MATH_SYMBOLS) | (1 << RELATIONS)
        is_symbol = 0x86 <= second <= 0x8B and not (second == 0x88 and third == 0x99)  # arrows, operators
        is_symbol = is_symbol or (second == 0x84 and third != 0xA2)  # ℝ ℕ ℂ, not ™
    return is_symbol << MATH_SYMBOLS


@njit(cache=True)
def _is_fence(first: int, second: int, third: int) -> bool:
    """Three backticks or tildes."""
    return first in (_BACKTICK, _TILDE) and second == first and third == first


@njit(cache=True)
def _ends_as_code(last: int) -> bool:
    return last in (_SEMICOLON, _BRACE, _UNBRACE)


@njit(cache=True)
def _is_blank(byte: int) -> bool:
    return _BYTE_CLASSES[byte] in (_SPACE, _NEWLINE)
