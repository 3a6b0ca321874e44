"""The compiled kernel of normalisation: UTF-8 bytes in, one token after the other out.

`normalise` says what counts as the same text; the tables are in `tables`. Indices are int64; every helper
takes the buffer, a byte and the end, and returns where it stopped.

numba keeps compiled functions by the time stamp of their own file: after a change here, functions of other
files that call these (`decontamination.kernels`) are compiled anew only if their cache is deleted.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mathcode_assets.text import tables as tb

_SEED = np.uint64(tb.WORD_SEED)
_PRIME = np.uint64(tb.WORD_PRIME)
_FINAL = np.uint64(tb.FINAL_PRIME)
_NUMBER_SALT = np.uint64(0x5851F42D4C957F2D)
_PART_SALT = np.uint64(0x14057B7EF767814F)
NUMBER_MASK = np.uint64(0xA0761D6478BD642F)  # stands for any number in a masked n-gram
_LETTER_CLASS = np.uint64(tb.LETTER)
_SLOT_MASK = np.uint64(tb.SLOTS - 1)
_MAX_ENVIRONMENT = 40  # bytes looked ahead for the brace that closes \begin{name}


@njit(cache=True, inline="always")
def _finish(value):
    value *= _FINAL
    return value ^ (value >> uint64(29))


@njit(cache=True, inline="always")
def _gather(value, letters):
    value = (value ^ letters) * _PRIME
    return value ^ (value >> uint64(32))


@njit(cache=True)
def _number_hash(whole, fraction):
    return _finish((whole * _PRIME ^ fraction) + _NUMBER_SALT)


@njit(cache=True)
def _decode(buffer, at, end):
    """Code point and width of the UTF-8 sequence at a byte; a damaged sequence is one byte wide."""
    first = np.int64(buffer[at])
    if first >= 0xF0 and at + 3 < end:
        point = (first & 7) << 18 | (np.int64(buffer[at + 1]) & 63) << 12
        return point | (np.int64(buffer[at + 2]) & 63) << 6 | (np.int64(buffer[at + 3]) & 63), 4
    if first >= 0xE0 and at + 2 < end:
        return (first & 15) << 12 | (np.int64(buffer[at + 1]) & 63) << 6 | (np.int64(buffer[at + 2]) & 63), 3
    if first >= 0xC0 and at + 1 < end:
        return (first & 31) << 6 | (np.int64(buffer[at + 1]) & 63), 2
    return np.int64(0xFFFD), 1


@njit(cache=True)
def _slot(t, section, key):
    """Index of a key in an open-addressing section of the tables, -1 where absent."""
    slot = np.int64(key & _SLOT_MASK)
    while t[section + slot] != 0:
        if t[section + slot] == key:
            return section + slot
        slot = (slot + 1) & (tb.SLOTS - 1)
    return np.int64(-1)


@njit(cache=True)
def _apostrophe_entity(buffer, at, end):
    """Width of ``&rsquo;``, ``&#8217;`` or ``&#39;`` at a byte, else 0."""
    if at + 4 < end and buffer[at + 1] == 35:
        if buffer[at + 2] == 51 and buffer[at + 3] == 57 and buffer[at + 4] == 59:
            return 5
        if at + 6 < end and buffer[at + 2] == 56 and buffer[at + 3] == 50 and buffer[at + 4] == 49:
            return 7 if buffer[at + 5] == 55 and buffer[at + 6] == 59 else 0
    if at + 6 < end and buffer[at + 1] == 114 and buffer[at + 2] == 115 and buffer[at + 3] == 113:
        return 7 if buffer[at + 4] == 117 and buffer[at + 5] == 111 and buffer[at + 6] == 59 else 0
    return 0


@njit(cache=True)
def _read_word(buffer, at, end, t):
    """Hash and end of the run of letters at a byte; apostrophes and invisible characters do not break it."""
    value, letters, count = _SEED, uint64(0), 0
    while at < end:
        byte = buffer[at]
        kind = t[tb.BYTE_CLASS + byte]
        width = 0
        if kind == tb.LETTER:
            letters, count, at = letters << uint64(8) | uint64(byte | 32), count + 1, at + 1
            if count == 8:
                value, letters, count = _gather(value, letters), uint64(0), 0
            continue
        if kind == tb.WIDE:
            point, size = _decode(buffer, at, end)
            if point >= tb.FOLD_SIZE:
                break
            fold = t[tb.FOLD_KIND + point]
            if fold == tb.FOLD_LETTERS:
                packed = np.int64(t[tb.FOLD_VALUE + point])
                for k in range(packed >> 8, (packed >> 8) + (packed & 255)):
                    value, letters, count = _add(value, letters, count, t[tb.FOLD_POINTS + k])
                at += size
                continue
            if fold == tb.FOLD_IGNORED:
                at += size
                continue
            if fold == tb.FOLD_APOSTROPHE:
                width = size
        elif byte == 39:
            width = 1
        elif kind == tb.AMPERSAND:
            width = _apostrophe_entity(buffer, at, end)
        if width == 0 or at + width >= end or t[tb.BYTE_CLASS + buffer[at + width]] != tb.LETTER:
            break
        at += width
    return _finish(_gather(value, letters)), at


@njit(cache=True, inline="always")
def _plain_word(buffer, at, end, t):
    """Hash and end of a run of ASCII letters, end 0 where what follows may belong to the word.

    Nine words of ten end here. Unsigned indices spare the kernel the test for negative ones.
    """
    k, stop = uint64(at), uint64(end)
    value, letters, count = _SEED, uint64(0), 0
    while k < stop and t[buffer[k]] == _LETTER_CLASS:
        letters = letters << uint64(8) | uint64(buffer[k] | np.uint8(32))
        count += 1
        if count == 8:
            value, letters, count = _gather(value, letters), uint64(0), 0
        k += uint64(1)
    if k < stop and (buffer[k] >= 128 or buffer[k] == 39 or buffer[k] == 38):
        return uint64(0), np.int64(0)
    return _finish(_gather(value, letters)), np.int64(k)


@njit(cache=True)
def _add(value, letters, count, point):
    """One folded code point added to the hash of a word."""
    if point < 128:
        letters, count = letters << uint64(8) | point, count + 1
        if count == 8:
            return _gather(value, letters), uint64(0), 0
        return value, letters, count
    return _gather(_gather(value, letters), point), uint64(0), 0


@njit(cache=True, inline="always")
def _is_dress(byte):
    """``*``, ``$`` or a brace: what Markdown and LaTeX put around the parts of a number."""
    return byte == 42 or byte == 36 or byte == 123 or byte == 125


@njit(cache=True)
def _inner_mark(buffer, at, end, mark):
    r"""Byte after a comma or point inside a number, bare or dressed (``$,$``, ``**,**``, ``{,}``); else 0."""
    k = at
    while k < end and k < at + 2 and _is_dress(buffer[k]):
        k += 1
    dressed = k > at
    if mark == 44 and k + 1 < end and buffer[k] == 92 and buffer[k + 1] == 44:  # \\, is a thin space
        return k + 2
    if k >= end or buffer[k] != mark:
        return 0
    k += 1
    if mark == 44 and k + 1 < end and buffer[k] == 92 and buffer[k + 1] == 33:
        k += 2
        dressed = True
    if dressed:
        stop = k + 2
        while k < end and k < stop and _is_dress(buffer[k]):
            k += 1
    return k


@njit(cache=True)
def _thousands(buffer, at, end):
    """Byte of the three digits after a thousands separator, else 0."""
    first = _inner_mark(buffer, at, end, 44)
    if first == 0 or first + 3 > end:
        return 0
    for k in range(first, first + 3):
        if not 48 <= buffer[k] <= 57:
            return 0
    return 0 if first + 3 < end and 48 <= buffer[first + 3] <= 57 else first


@njit(cache=True)
def _read_number(buffer, at, end):
    """Hash and end of the number at a byte: ``1,000.50`` and ``1000.5`` are one number."""
    whole, fraction, begin = uint64(0), uint64(0), at
    while at < end:
        if 48 <= buffer[at] <= 57:
            whole = whole * uint64(10) + uint64(buffer[at] - 48)
            at += 1
            continue
        following = _thousands(buffer, at, end) if 0 < at - begin <= 24 else 0
        if following == 0:
            break
        at = following
    following = _inner_mark(buffer, at, end, 46)
    if following > 0 and following < end and 48 <= buffer[following] <= 57:
        at = following
        digits, zeros = uint64(1), uint64(0)
        while at < end and 48 <= buffer[at] <= 57:
            if buffer[at] == 48:
                zeros += uint64(1)
            else:
                while zeros > 0:
                    digits *= uint64(10)
                    zeros -= uint64(1)
                digits = digits * uint64(10) + uint64(buffer[at] - 48)
            at += 1
        fraction = digits if digits != 1 else uint64(0)
    return _number_hash(whole, fraction), at


@njit(cache=True)
def _next_word(buffer, at, end, t):
    """Slot, in the table of number words, of the word after one hyphen or some blanks; and its end."""
    begin = at
    while at < end and at - begin < 4 and (buffer[at] == 32 or buffer[at] == 45 or buffer[at] == 10):
        at += 1
    if at == begin or at >= end or t[tb.BYTE_CLASS + buffer[at]] != tb.LETTER:
        return np.int64(-1), at
    word, stop = _read_word(buffer, at, end, t)
    return _slot(t, tb.WORD_KEY, word), stop


@njit(cache=True)
def _number_word(buffer, at, end, t, slot):
    """Hash and end of a number in words: ``twenty-one``, ``three hundred``; the first word is at ``slot``."""
    kind, value = t[slot + tb.SLOTS], t[slot + 2 * tb.SLOTS]
    if kind == tb.FRACTION:
        return _number_hash(value, _PART_SALT), at
    if kind == tb.TENS:
        following, stop = _next_word(buffer, at, end, t)
        if following >= 0 and t[following + tb.SLOTS] == tb.UNIT and 0 < t[following + 2 * tb.SLOTS] < 10:
            value += t[following + 2 * tb.SLOTS]
            at = stop
    while True:
        following, stop = _next_word(buffer, at, end, t)
        if following < 0 or t[following + tb.SLOTS] != tb.MULTIPLIER:
            return _number_hash(value, uint64(0)), at
        value *= t[following + 2 * tb.SLOTS]
        at = stop


@njit(cache=True)
def _tag_end(buffer, at, end, t):
    """Byte after a plain HTML tag at ``<``, else the byte after the ``<``."""
    k = at + 1
    if k < end and buffer[k] == 47:
        k += 1
    begin, value, letters, count = k, _SEED, uint64(0), 0
    while k < end and k - begin < 11 and (t[tb.BYTE_CLASS + buffer[k]] == tb.LETTER or 48 <= buffer[k] <= 57):
        value, letters, count = _add(value, letters, count, uint64(buffer[k] | 32))
        k += 1
    value = _gather(value, letters)
    while k < end and (buffer[k] == 32 or buffer[k] == 47) and k - begin < 14:
        k += 1
    if k < end and k > begin and buffer[k] == 62 and _slot(t, tb.TAG_KEY, _finish(value)) >= 0:
        return k + 1
    return at + 1


@njit(cache=True)
def _entity_end(buffer, at, end, t):
    """Byte after an HTML entity at ``&``, else the byte after the ``&``."""
    k = at + 1
    if k < end and buffer[k] == 35:
        k += 1
    begin = k
    while k < end and k - begin < 8 and (t[tb.BYTE_CLASS + buffer[k]] == tb.LETTER or 48 <= buffer[k] <= 57):
        k += 1
    return k + 1 if k > begin + 1 and k < end and buffer[k] == 59 else at + 1


@njit(cache=True)
def _environment_end(buffer, at, end):
    """Byte after ``{name}`` at a byte, else the byte itself."""
    if at >= end or buffer[at] != 123:
        return at
    k = at + 1
    while k < end and k - at < _MAX_ENVIRONMENT:
        if buffer[k] == 125:
            return k + 1
        k += 1
    return at


@njit(cache=True)
def next_token(buffer, at, end, t):
    """The first token at or after a byte: end, hash (0 where there is none), whether a number, start."""
    split_digits = False
    while at < end:
        byte = buffer[at]
        kind = t[tb.BYTE_CLASS + byte]
        if kind == tb.LETTER:
            word, stop = _plain_word(buffer, at, end, t)
            if stop == 0:
                word, stop = _read_word(buffer, at, end, t)
            slot = _slot(t, tb.WORD_KEY, word)
            if slot < 0:
                return stop, word, False, at
            number, stop = _number_word(buffer, stop, end, t, slot)
            return stop, number, True, at
        if kind == tb.DIGIT or (kind == tb.POINT and at + 1 < end and t[tb.BYTE_CLASS + buffer[at + 1]] == tb.DIGIT):
            # \frac12 is one half: the command takes one digit, the next call the other.
            number, stop = _read_number(buffer, at, at + 1 if split_digits else end)
            return stop, number, True, at
        split_digits = False
        if kind == tb.BACKSLASH:
            begin, double = at, False
            at += 1
            if at < end and buffer[at] == 92:
                at += 1
                double = True
            if at >= end or t[tb.BYTE_CLASS + buffer[at]] != tb.LETTER:
                at += 1 if at < end and not double and buffer[at] < 128 else 0
                continue
            word, stop = _read_word(buffer, at, end, t)
            slot = _slot(t, tb.COMMAND_KEY, word)
            if slot < 0:
                slot = _slot(t, tb.WORD_KEY, word) if double else slot
                if slot >= 0:
                    number, stop = _number_word(buffer, stop, end, t, slot)
                    return stop, number, True, at
                return stop, word, False, at if double else begin
            action = t[slot + tb.SLOTS]
            if action == tb.ALIAS:
                return stop, t[slot + 2 * tb.SLOTS], False, begin
            at = _environment_end(buffer, stop, end) if action == tb.ENVIRONMENT else stop
            split_digits = action == tb.FRAC
        elif kind == tb.WIDE:
            point, size = _decode(buffer, at, end)
            fold = t[tb.FOLD_KIND + point] if point < tb.FOLD_SIZE else tb.FOLD_SEPARATOR
            if fold == tb.FOLD_LETTERS:
                word, stop = _read_word(buffer, at, end, t)
                return stop, word, False, at
            if fold == tb.FOLD_SYMBOL:
                return at + size, t[tb.FOLD_VALUE + point], False, at
            if fold == tb.FOLD_FRACTION:
                value = t[tb.FOLD_VALUE + point]
                return at + size, _number_hash(value, _PART_SALT), True, at
            if fold == tb.FOLD_DIGIT:
                number, stop = _wide_number(buffer, at, end, t)
                return stop, number, True, at
            at += size
        elif kind == tb.LESS_THAN:
            at = _tag_end(buffer, at, end, t)
        elif kind == tb.AMPERSAND:
            at = _entity_end(buffer, at, end, t)
        else:
            at += 1
    return end, uint64(0), False, end


@njit(cache=True)
def _wide_number(buffer, at, end, t):
    """Hash and end of a run of non-ASCII digits: superscripts, full width, mathematical digits."""
    whole = uint64(0)
    while at < end and buffer[at] >= 128:
        point, size = _decode(buffer, at, end)
        if point >= tb.FOLD_SIZE or t[tb.FOLD_KIND + point] != tb.FOLD_DIGIT:
            break
        whole = whole * uint64(10) + t[tb.FOLD_VALUE + point]
        at += size
    return _number_hash(whole, uint64(0)), at


@njit(cache=True)
def tokenise_buffer(buffer, begin, end, t):
    """Token arrays of a byte range: hashes, is_number, starts, stops."""
    count, at = 0, begin
    while True:
        at, value, _, _ = next_token(buffer, at, end, t)
        if value == 0:
            break
        count += 1
    hashes, numbers = np.empty(count, np.uint64), np.empty(count, np.bool_)
    starts, stops = np.empty(count, np.int64), np.empty(count, np.int64)
    at = begin
    for k in range(count):
        at, value, number, start = next_token(buffer, at, end, t)
        hashes[k], numbers[k], starts[k], stops[k] = value, number, start, at
    return hashes, numbers, starts, stops
