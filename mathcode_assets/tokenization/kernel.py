"""The compiled encoder: UTF-8 bytes in, token ids out, a word at a time.

A word is what the tokenizer's pre-tokenisation gives to BPE: `pretokenize` finds where it ends,
`encode_words` looks its ids up among the words seen before, or merges its symbols pair by pair.
Everything here assumes valid UTF-8. What it may not decide itself it hands back: a word above
`LONGEST_WORD_BYTES`, and a character whose class is not known.

numba keeps compiled functions by the time stamp of their own file; everything compiled is in this one.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

# Classes of code points, as the tokenizers' patterns tell them apart.
SIGN, LETTER, NUMBER, SPACE, UNKNOWN = 0, 1, 2, 3, 4

# Patterns (`patterns` says which tokenizer has which). The longest run of digits is a number beside them.
GPT2, GPT2_DIGITS_APART, GPT4, SENTENCEPIECE = 0, 1, 2, 3

# Characters that SentencePiece tokens may join: each of ASCII (a space stands for U+2581), and all others as one.
JOIN_CLASSES = 129

# Merging takes time with the square of the word's length; longer ones are left to the library's heap.
LONGEST_WORD_BYTES = 256
# Words up to 15 bytes are remembered: they and their length make the two 64-bit halves of the key.
KEY_BYTES = 15
# 2^20 slots of 24 bytes, at most half of them taken, and 2^22 ids: 42 MB.
MEMORY_SLOTS = 1 << 20
MEMORY_WORDS = MEMORY_SLOTS // 2
MEMORY_IDS = 1 << 22

DONE, LONG_WORD, UNKNOWN_CHARACTER = 0, 1, 2

_NO_PAIR = np.uint64(0xFFFFFFFFFFFFFFFF)
_MIX1 = np.uint64(0x9E3779B97F4A7C15)
_MIX2 = np.uint64(0xC2B2AE3D27D4EB4F)
_MIX3 = np.uint64(0xFF51AFD7ED558CCD)


@njit(cache=True, inline="always")
def _point(buffer, at):
    """Code point at a byte, and its width."""
    first = np.int64(buffer[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 31) << 6 | (np.int64(buffer[at + 1]) & 63), 2
    if first < 0xF0:
        return (first & 15) << 12 | (np.int64(buffer[at + 1]) & 63) << 6 | (np.int64(buffer[at + 2]) & 63), 3
    point = (first & 7) << 18 | (np.int64(buffer[at + 1]) & 63) << 12
    return point | (np.int64(buffer[at + 2]) & 63) << 6 | (np.int64(buffer[at + 3]) & 63), 4


@njit(cache=True, inline="always")
def _class(buffer, at, end, classes):
    """Class and width of the character at a byte; SPACE and 0 at the end."""
    if at >= end:
        return np.int64(SPACE), 0
    point, width = _point(buffer, at)
    return np.int64(classes[point]), width


@njit(cache=True)
def _run(buffer, at, end, kind, classes):
    """End of the run of one class that starts at or before a byte."""
    while at < end:
        found, width = _class(buffer, at, end, classes)
        if found != kind:
            break
        at += width
    return at


@njit(cache=True)
def _contraction(buffer, at, end, any_case):
    """End of 's, 't, 're, 've, 'm, 'll or 'd at an apostrophe, else -1; -2 where case folding is beyond ASCII."""
    if at + 1 >= end:
        return -1
    fold = 32 if any_case else 0
    first = buffer[at + 1] | fold
    if first == 115 or first == 116 or first == 109 or first == 100:
        return at + 2
    if any_case and buffer[at + 1] == 0xC5 and at + 2 < end and buffer[at + 2] == 0xBF:
        return -2  # U+017F folds to s
    if at + 2 < end:
        second = buffer[at + 2] | fold
        if (first == 114 or first == 118) and second == 101:
            return at + 3
        if first == 108 and second == 108:
            return at + 3
    return -1


@njit(cache=True)
def _spaces(buffer, at, end, classes, number_ends):
    """End of the word that white space at a byte makes: all of the run but its last character, if text follows."""
    last = at
    stop = at
    while stop < end:
        kind, width = _class(buffer, stop, end, classes)
        if kind != SPACE:
            if kind == UNKNOWN:
                return -2
            if number_ends and kind == NUMBER:
                return stop
            return last if last > at else stop
        last = stop
        stop += width
    return stop


@njit(cache=True)
def _gpt2(buffer, at, end, classes, digits_apart):
    """End of a word by GPT-2's pattern; with `digits_apart` every digit stands alone before the pattern is applied."""
    kind, width = _class(buffer, at, end, classes)
    if kind == UNKNOWN:
        return -2
    if digits_apart and kind == NUMBER:
        return at + width
    if buffer[at] == 39:
        stop = _contraction(buffer, at, end, False)
        if stop > 0:
            return stop
    start = at
    if buffer[at] == 32:
        following, _ = _class(buffer, at + 1, end, classes)
        if following == UNKNOWN:
            return -2
        if following != SPACE and not (digits_apart and following == NUMBER):
            start, kind = at + 1, following
    if kind == SPACE:
        return _spaces(buffer, at, end, classes, digits_apart)
    return _run(buffer, start, end, kind, classes)


@njit(cache=True)
def _gpt4(buffer, at, end, classes, longest_number):
    """End of a word by the pattern of cl100k and Llama-3, with numbers of up to so many digits."""
    kind, width = _class(buffer, at, end, classes)
    if kind == UNKNOWN:
        return -2
    first = buffer[at]
    if first == 39:
        stop = _contraction(buffer, at, end, True)
        if stop != -1:
            return stop
    if kind == LETTER:
        return _run(buffer, at, end, LETTER, classes)
    if kind == NUMBER:
        count = 0
        while kind == NUMBER and count < longest_number:
            at, count = at + width, count + 1
            kind, width = _class(buffer, at, end, classes)
        return at
    following, _ = _class(buffer, at + width, end, classes)
    if following == UNKNOWN:
        return -2
    if following == LETTER and first != 10 and first != 13:
        return _run(buffer, at + width, end, LETTER, classes)
    if kind == SIGN or (first == 32 and following == SIGN):
        stop = _run(buffer, at + width, end, SIGN, classes)
        while stop < end and (buffer[stop] == 10 or buffer[stop] == 13):
            stop += 1
        return stop
    stop = _run(buffer, at, end, SPACE, classes)
    while stop > at:
        if buffer[stop - 1] == 10 or buffer[stop - 1] == 13:
            return stop
        stop -= 1
    return _spaces(buffer, at, end, classes, False)


@njit(cache=True, inline="always")
def _join_class(buffer, at, end):
    """Class (of JOIN_CLASSES) and width of the character at a byte: U+2581 is the space it stands for."""
    first = uint64(buffer[at])
    if first < 0x80:
        return first, 1
    if first == 0xE2 and at + 2 < end and buffer[at + 1] == 0x96 and buffer[at + 2] == 0x81:
        return uint64(32), 3
    return uint64(JOIN_CLASSES - 1), 2 if first < 0xE0 else 3 if first < 0xF0 else 4


@njit(cache=True)
def _sentencepiece(buffer, at, end, joins):
    """End of the longest stretch in which any two neighbours stand beside each other in some token, too."""
    before, width = _join_class(buffer, at, end)
    at += width
    while at < end:
        here, width = _join_class(buffer, at, end)
        if not joins[before * uint64(JOIN_CLASSES) + here]:
            break
        before = here
        at += width
    return at


@njit(cache=True, inline="always")
def pretokenize(buffer, at, end, classes, joins, pattern, longest_number):
    """End of the word that starts at a byte; -2 where a character's class is unknown."""
    if pattern == SENTENCEPIECE:
        return _sentencepiece(buffer, at, end, joins)
    if pattern == GPT4:
        return _gpt4(buffer, at, end, classes, longest_number)
    return _gpt2(buffer, at, end, classes, pattern == GPT2_DIGITS_APART)


@njit(cache=True, inline="always")
def _pair(pairs, left, right):
    """Rank << 32 | merged id of two ids, or all ones."""
    key = uint64(left) << uint64(32) | uint64(right)
    mask = len(pairs) - 1
    slot = np.int64((key * _MIX1) >> uint64(40)) & mask
    while pairs[slot, 0] != _NO_PAIR:
        if pairs[slot, 0] == key:
            return pairs[slot, 1]
        slot = (slot + 1) & mask
    return _NO_PAIR


@njit(cache=True)
def fill_pairs(pairs, left, right, merged):
    """Enter merges, best first, into an open-addressing table of (key, rank << 32 | merged id)."""
    mask = len(pairs) - 1
    for rank in range(len(left)):
        key = uint64(left[rank]) << uint64(32) | uint64(right[rank])
        slot = np.int64((key * _MIX1) >> uint64(40)) & mask
        while pairs[slot, 0] != _NO_PAIR and pairs[slot, 0] != key:
            slot = (slot + 1) & mask
        pairs[slot, 0] = key
        pairs[slot, 1] = uint64(rank) << uint64(32) | uint64(merged[rank])


@njit(cache=True)
def _symbols(buffer, at, end, pattern, byte_ids, point_ids, symbols):
    """First ids of a word: its bytes, or with SentencePiece its characters, else their bytes."""
    count = 0
    if pattern != SENTENCEPIECE:
        for k in range(at, end):
            symbols[count] = byte_ids[buffer[k]]
            count += 1
        return count
    while at < end:
        point, width = _point(buffer, at)
        found = point_ids[0x2581 if point == 32 else point]
        if found >= 0:
            symbols[count] = found
            count += 1
        else:
            for k in range(at, at + width):
                symbols[count] = byte_ids[buffer[k]]
                count += 1
        at += width
    return count


@njit(cache=True)
def _merge(symbols, ranks, count, pairs):
    """Merge the best-ranked pair, the leftmost of equals, until none is left; returns how many ids remain."""
    for k in range(count - 1):
        ranks[k] = _pair(pairs, symbols[k], symbols[k + 1])
    while count > 1:
        best, where = _NO_PAIR, -1
        for k in range(count - 1):
            if ranks[k] < best:
                best, where = ranks[k], k
        if where < 0:
            break
        symbols[where] = np.int64(best & uint64(0xFFFFFFFF))
        count -= 1
        for k in range(where + 1, count):
            symbols[k] = symbols[k + 1]
            ranks[k] = ranks[k + 1]
        if where > 0:
            ranks[where - 1] = _pair(pairs, symbols[where - 1], symbols[where])
        if where < count - 1:
            ranks[where] = _pair(pairs, symbols[where], symbols[where + 1])
    return count


@njit(cache=True)
def encode_words(
    buffer,
    at,
    end,
    out,
    n_out,
    classes,
    joins,
    pattern,
    longest_number,
    byte_ids,
    point_ids,
    pairs,
    keys,
    values,
    ids,
    used,
):
    """Encode from a byte on; returns (next byte, ids written, DONE or why it stopped, end of the long word).

    - `buffer`: UTF-8 bytes, encoded from `at` to `end`; `out`: uint32, written from `n_out` on, one id a byte fits.
    - `classes`: class of every code point; `longest_number`: digits of one word (GPT4 only); `joins`: which two
      characters (of JOIN_CLASSES) stand side by side in some token (SentencePiece only).
    - `byte_ids`, `point_ids`: id of each byte, of each code point or -1 (SentencePiece only); `pairs` of `fill_pairs`.
    - The memory of words: `keys` (MEMORY_SLOTS, 2), `values`: a word's one id, or where in `ids` its ids are; `used`:
      how many words and ids are taken.
    """
    symbols = np.empty(LONGEST_WORD_BYTES, np.int64)
    ranks = np.empty(LONGEST_WORD_BYTES, np.uint64)
    while at < end:
        stop = pretokenize(buffer, at, end, classes, joins, pattern, longest_number)
        if stop < 0:
            return at, n_out, UNKNOWN_CHARACTER, at
        size = stop - at
        if size > LONGEST_WORD_BYTES:
            return at, n_out, LONG_WORD, stop
        if size > KEY_BYTES:
            count = _symbols(buffer, at, stop, pattern, byte_ids, point_ids, symbols)
            count = _merge(symbols, ranks, count, pairs)
            for k in range(count):
                out[n_out + k] = symbols[k]
            n_out, at = n_out + count, stop
            continue
        low, high = uint64(0), uint64(size) << uint64(56)
        for k in range(min(size, 8)):
            low |= uint64(buffer[at + k]) << uint64(8 * k)
        for k in range(8, size):
            high |= uint64(buffer[at + k]) << uint64(8 * (k - 8))
        hashed = (low * _MIX1) ^ (high * _MIX2)
        hashed = (hashed ^ (hashed >> uint64(32))) * _MIX3
        slot = np.int64(hashed >> uint64(24)) & (MEMORY_SLOTS - 1)
        while keys[slot, 1] != 0 and (keys[slot, 0] != low or keys[slot, 1] != high):
            slot = (slot + 1) & (MEMORY_SLOTS - 1)
        if keys[slot, 1] != 0:
            value = np.int64(values[slot])
            count = value >> 32
            if count == 1:
                out[n_out] = value & 0xFFFFFFFF
            else:
                start = value & 0xFFFFFFFF
                for k in range(count):
                    out[n_out + k] = ids[start + k]
            n_out, at = n_out + count, stop
            continue
        count = _symbols(buffer, at, stop, pattern, byte_ids, point_ids, symbols)
        count = _merge(symbols, ranks, count, pairs)
        if used[0] < MEMORY_WORDS and used[1] + count <= MEMORY_IDS:
            keys[slot, 0], keys[slot, 1] = low, high
            used[0] += 1
            if count == 1:
                values[slot] = np.int64(1) << 32 | symbols[0]
            else:
                values[slot] = np.int64(count) << 32 | used[1]
                for k in range(count):
                    ids[used[1] + k] = symbols[k]
                used[1] += count
        for k in range(count):
            out[n_out + k] = symbols[k]
        n_out, at = n_out + count, stop
    return at, n_out, DONE, at


@njit(cache=True)
def first_word(buffer, classes, joins, pattern, longest_number):
    """End of the first word of some bytes; -2 where a character's class is unknown."""
    return pretokenize(buffer, 0, len(buffer), classes, joins, pattern, longest_number)
