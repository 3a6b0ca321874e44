"""Text to words, shingles and band keys: the compiled part of fingerprints, on Arrow buffers.

A *word* of prose is what stands between white space (what `str.split` takes for it). A word of code is a run of
identifier characters or a run of other characters, so `f(x,y)` and `f( x, y )` differ little and `x+1` is not `x-1`.
A *shingle* is SHINGLE_WORDS words in a row, known by a 64-bit hash; a text of fewer words is one shingle.

A *signature* has one shingle of the set in each of its slots, as fast similarity sketching chooses it (Dahlgaard,
Knudsen, Thorup 2017): every shingle falls into one slot, where the lowest hash stays; a slot that none fell into takes
the lowest of all shingles by a hash function of its own. Like 126 permutations, two sets agree in a slot as often as
they are similar, for one hash a shingle and not 126.

Bytes are read 64 at a time and as little-endian numbers. numba keeps compiled functions by the time stamp of their own
file, so everything compiled is in this one, except what `text.ngrams` shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint32, uint64
from numba.extending import intrinsic

from mathcode_assets.text.ngrams import mix, push, rolling_top

SHINGLE_WORDS = 5
# 21 bands of 6: a pair at Jaccard 0.8 has an equal band with probability 1 - (1 - 0.8^6)^21 = 99.8 %. 20 of 7 give
# 99.1 %, 14 of 8 give 92.4 %; the 126 slots are a tenth fewer than 140, for twice the candidates at 0.5 (28 %).
BANDS = 21
BAND_ROWS = 6
SLOTS = BANDS * BAND_ROWS
# Of a band's key. At 10^9 entries some 5 * 10^5 pairs collide by chance and are sorted out with the other candidates.
BAND_BYTES = 5
READ_AHEAD = 72  # bytes behind a text that may be read with it, whatever they are
WRITE_AHEAD = 16  # bytes behind a folded text that are written, to no purpose

_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xD1342543DE82EF95)
_CODE_SALT = np.uint64(0x5851F42D4C957F2D)  # prose and code never meet in a bucket
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_EMPTY = np.uint32(0xFFFFFFFF)
_CHUNK = 2048  # hashes at a time: 8 kB, which stay in the first cache while every function goes over them
_LANES = 32  # a chunk is filled up to a multiple of these, and no hash is left to a loop of single ones


def _functions() -> tuple[np.ndarray, np.ndarray]:
    """(masks, odd multipliers) of the slots' own hash functions x -> (x ^ mask) * multiplier mod 2^32.

    From a hash of the function's number, so that no release of a random generator changes kept signatures.
    """
    drawn = [hashlib.sha256(b"minhash %d" % number).digest() for number in range(SLOTS)]
    numbers = np.frombuffer(b"".join(drawn), "<u4").reshape(-1, 8)
    return numbers[:, 0].astype(np.uint32), numbers[:, 1].astype(np.uint32) | np.uint32(1)


MASKS, MULTIPLIERS = _functions()


def _bits_where(test: Callable[[ir.IRBuilder, ir.Value, Callable[[int, int], ir.Value]], ir.Value]) -> Any:
    """A compiled function (address) -> uint64: which of the 64 bytes there pass, the first one lowest.

    Args:
        test: builds the comparison, given the bytes and a builder of `first <= byte <= last`.
    """

    @intrinsic
    def bits(typing_context, address):
        def generate(context, builder, signature, arguments):
            block = ir.VectorType(ir.IntType(8), 64)
            value = builder.load(builder.inttoptr(arguments[0], block.as_pointer()))
            value.align = 1

            def between(first, last):
                low, width = (ir.Constant(block, [number] * 64) for number in (first, last - first))
                return builder.icmp_unsigned("<=", builder.sub(value, low), width)

            return builder.bitcast(test(builder, value, between), ir.IntType(64))

        return types.uint64(types.uint64), generate

    return bits


def _is_space(builder, value, between):
    return builder.or_(between(9, 13), between(28, 32))


def _is_wide_lead(builder, value, between):
    return builder.or_(between(0xC2, 0xC2), between(0xE1, 0xE3))


def _is_mark(builder, value, between):
    """ASCII, but neither white space nor of an identifier."""
    found = between(0, 127)
    for first, last in ((9, 13), (28, 32), (48, 57), (65, 90), (95, 95), (97, 122)):
        found = builder.and_(found, builder.not_(between(first, last)))
    return found


_spaces = _bits_where(_is_space)
_wide_leads = _bits_where(_is_wide_lead)
_marks = _bits_where(_is_mark)
_beyond_ascii = _bits_where(lambda builder, value, between: between(128, 255))


# What follows takes addresses and not arrays: handing on an array counts references, which costs more than a word.


@intrinsic
def _load(typing_context, address):
    """Eight bytes as one number, the first byte the least significant."""

    def generate(context, builder, signature, arguments):
        value = builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))
        value.align = 1
        return value

    return types.uint64(types.uint64), generate


@intrinsic
def _store(typing_context, address, value):
    """The other way round."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def _lowest(typing_context, bits):
    """The place of the lowest bit that is set; one is."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@njit(cache=True)
def look_composed(data, offsets, starters, out):
    """Whether each text is certainly in NFC: all its characters are among `starters`, bool by code point."""
    text = uint64(data.ctypes.data)
    for row in range(len(offsets) - 1):
        at, end, composed = uint64(offsets[row]), uint64(offsets[row + 1]), True
        while at < end and composed:
            first = uint64(data[at])
            if first < uint64(0x80):
                at += uint64(1)
                while at + uint64(64) <= end:
                    other = _beyond_ascii(text + at)
                    if other:
                        at += _lowest(other)
                        break
                    at += uint64(64)
            elif first < uint64(0xE0):
                composed = starters[(first & uint64(31)) << uint64(6) | uint64(data[at + uint64(1)]) & uint64(63)]
                at += uint64(2)
            elif first < uint64(0xF0):
                point = (first & uint64(15)) << uint64(12) | (uint64(data[at + uint64(1)]) & uint64(63)) << uint64(6)
                composed = starters[point | uint64(data[at + uint64(2)]) & uint64(63)]
                at += uint64(3)
            else:
                point = (first & uint64(7)) << uint64(18) | (uint64(data[at + uint64(1)]) & uint64(63)) << uint64(12)
                point |= (uint64(data[at + uint64(2)]) & uint64(63)) << uint64(6)
                point |= uint64(data[at + uint64(3)]) & uint64(63)
                composed = starters[point] if point < uint64(len(starters)) else False
                at += uint64(4)
        out[row] = composed


@njit(cache=True)
def _wide_space(at, end):
    """Bytes of the white space character beyond ASCII at an address, 0 where there is none."""
    three = _load(at) & uint64(0xFFFFFF)
    two, third = three & uint64(0xFFFF), three >> uint64(16)
    width = uint64(0)
    if two == uint64(0x85C2) or two == uint64(0xA0C2):
        width = uint64(2)
    elif two == uint64(0x80E2):  # U+2000 to U+200A, U+2028, U+2029, U+202F
        if third <= uint64(0x8A) or third == uint64(0xA8) or third == uint64(0xA9) or third == uint64(0xAF):
            width = uint64(3)
    elif three == uint64(0x9F81E2) or three == uint64(0x809AE1) or three == uint64(0x8080E3):
        width = uint64(3)
    return width if at + width <= end else uint64(0)


@njit(cache=True, inline="always")
def _borders(base, end, code, space_before, mark_before, rest):
    """Where words begin and where they have ended, among the 64 bytes at an address, as bits.

    Args:
        base: the address.
        end: one past the text. What is behind it counts as white space, so its last word ends.
        code: words of code.
        space_before: 1 where the byte before is white space, as before the text.
        mark_before: 1 where it is a mark.
        rest: bits of a white space character that begins before.

    Returns:
        (beginnings, ends, and the last three for the bytes that follow).
    """
    space, wide = _spaces(base) | rest, _wide_leads(base)
    rest = uint64(0)
    while wide:
        place = _lowest(wide)
        wide &= wide - uint64(1)
        width = _wide_space(base + place, end)
        bits = (uint64(1) << width) - uint64(1)
        space |= bits << place
        if place + width > uint64(64):
            rest = bits >> (uint64(64) - place)
    if end - base < uint64(64):
        space |= _ALL << (end - base)
    mark = _marks(base) & ~space if code else uint64(0)
    before = space << uint64(1) | space_before
    edge = mark ^ (mark << uint64(1) | mark_before)
    return ~space & (before | edge), ~before & (space | edge), space >> uint64(63), mark >> uint64(63), rest


@njit(cache=True, inline="always")
def _word(first, length, target, fill):
    """Hash of the word at an address, which is written to another where asked for."""
    one, two = _load(first), _load(first + uint64(8))
    if fill:
        _store(target, one)
        _store(target + uint64(8), two)
    value = _SEED
    if length <= uint64(8):
        one &= _ALL >> (uint64(64) - length * uint64(8))
        two = uint64(0)
    elif length <= uint64(16):
        two &= _ALL >> (uint64(128) - length * uint64(8))
    else:
        done = uint64(8)
        while done + uint64(8) < length:
            value = (value ^ one) * _PRIME
            value ^= value >> uint64(32)
            one = two
            done += uint64(8)
            two = _load(first + done)
            if fill:
                _store(target + done, two)
        two &= _ALL >> (uint64(64) - (length - done) * uint64(8))
    value = (value ^ one) * _PRIME
    value ^= value >> uint64(32)
    value = (value ^ two) * _PRIME
    return ((value ^ value >> uint64(29)) + length) * _PRIME


@njit(cache=True)
def fold_and_shingle(data, start, end, code, folded, shingles):
    """One pass over data[start:end]: words to `folded`, one space between; hashes of shingles to `shingles`.

    The shingles come in order, repeated ones too.

    Args:
        data: UTF-8 bytes, at least READ_AHEAD of them behind the text.
        start: of the text in them, uint64.
        end: one past the text, uint64.
        code: words of code.
        folded: uint8, room for a text of prose and WRITE_AHEAD; empty for no folded text.
        shingles: uint64, room for a shingle per word: never more than bytes.

    Returns:
        (bytes folded, shingles found).
    """
    base, end = uint64(data.ctypes.data) + start, uint64(data.ctypes.data) + end
    target, fill = uint64(folded.ctypes.data), len(folded) > 0
    # Code: a byte order mark at the start goes.
    if code and end - base >= uint64(3) and _load(base) & uint64(0xFFFFFF) == uint64(0xBFBBEF):
        base += uint64(3)
    size, count, n_words = uint64(0), uint64(0), uint64(0)
    top, gram = rolling_top(SHINGLE_WORDS), uint64(0)
    w0, w1, w2, w3, w4 = uint64(0), uint64(0), uint64(0), uint64(0), uint64(0)
    first, is_open = base, False
    space_before, mark_before, rest = uint64(1), uint64(0), uint64(0)
    while base <= end:
        starts, stops, space_before, mark_before, rest = _borders(base, end, code, space_before, mark_before, rest)
        if not is_open and starts:
            first, is_open = base + _lowest(starts), True
            starts &= starts - uint64(1)
        while stops:
            length = base + _lowest(stops) - first
            stops &= stops - uint64(1)
            value = _word(first, length, target + size, fill)
            if fill:
                size += length
                folded[size] = 32
                size += uint64(1)
            gram = push(gram, value, w0, top)
            w0, w1, w2, w3, w4 = w1, w2, w3, w4, value
            n_words += uint64(1)
            if n_words >= uint64(SHINGLE_WORDS):
                shingles[count] = mix(gram)
                count += uint64(1)
            is_open = starts != uint64(0)
            if is_open:
                first = base + _lowest(starts)
                starts &= starts - uint64(1)
        base += uint64(64)
    if uint64(0) < n_words < uint64(SHINGLE_WORDS):
        shingles[count] = mix(gram + n_words)
        count += uint64(1)
    if fill and n_words:
        size -= uint64(1)
    return size, count


@njit(cache=True)
def signature(shingles, masks, multipliers, chosen, chunk):
    """Fill `chosen`, uint32[SLOTS], with the hash that each slot takes of a set of shingles that is not empty."""
    chosen[:] = _EMPTY
    for k in range(len(shingles)):
        shingle = shingles[k]
        slot = (shingle >> uint64(32)) * uint64(SLOTS) >> uint64(32)
        chosen[slot] = min(chosen[slot], uint32(shingle))
    empty = np.flatnonzero(chosen == _EMPTY)
    if not len(empty):
        return
    for first in range(0, len(shingles), _CHUNK):
        size = min(_CHUNK, len(shingles) - first)
        n_lanes = (size + _LANES - 1) // _LANES
        for k in range(size):
            chunk[k] = uint32(shingles[first + k] >> uint64(32))
        chunk[size : n_lanes * _LANES] = chunk[0]
        for slot in empty:
            mask, multiplier, lowest = masks[slot], multipliers[slot], chosen[slot]
            for k in range(n_lanes * _LANES):
                lowest = min(lowest, uint32((chunk[k] ^ mask) * multiplier))
            chosen[slot] = lowest


@njit(cache=True)
def fingerprint_rows(data, offsets, code, masks, multipliers, folded, folded_ends, bands):
    """Folded text and band keys of each text of a column.

    Args:
        data: UTF-8 bytes of all texts, READ_AHEAD behind the last one.
        offsets: borders of the texts in them.
        code: words of code; nothing is folded then.
        masks: MASKS.
        multipliers: MULTIPLIERS.
        folded: uint8, room for all texts and WRITE_AHEAD, filled with the folded texts one after another.
        folded_ends: int64 per text, filled with where each ends in `folded`.
        bands: uint8[texts, BANDS * BAND_BYTES] of zeros, filled with little-endian keys where a text has words.
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    shingles = np.empty(longest, np.uint64)
    chosen, chunk = np.empty(SLOTS, np.uint32), np.empty(_CHUNK, np.uint32)
    salt = _CODE_SALT if code else uint64(0)
    size = 0
    for row in range(len(offsets) - 1):
        space = folded[:0] if code else folded[size:]
        start, end = uint64(offsets[row]), uint64(offsets[row + 1])
        n_bytes, count = fold_and_shingle(data, start, end, code, space, shingles)
        size += np.int64(n_bytes)
        folded_ends[row] = size
        if not count:
            continue
        signature(shingles[:count], masks, multipliers, chosen, chunk)
        for band in range(BANDS):
            key = salt + uint64(band + 1) * _SEED
            for k in range(BAND_ROWS):
                key = mix(key ^ uint64(chosen[band * BAND_ROWS + k]))
            for k in range(BAND_BYTES):
                bands[row, band * BAND_BYTES + k] = np.uint8(key >> uint64(24 + 8 * k) & uint64(255))
