"""Tokens read fast: eight letters at a time, and the common cases without a call.

`read_token` gives exactly what `text.kernel.next_token` gives (a test reads both side by side); it only
takes the short way for plain words and plain numbers, which are nine tokens of ten.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from mathcode_assets.text import tables as tb
from mathcode_assets.text.kernel import next_token

_SEED, _PRIME, _FINAL = np.uint64(tb.WORD_SEED), np.uint64(tb.WORD_PRIME), np.uint64(tb.FINAL_PRIME)
_NUMBER_SALT = np.uint64(0x5851F42D4C957F2D)  # as in `text.kernel`
_LOWER = np.uint64(0x2020202020202020)
_SEVEN_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH_BITS = np.uint64(0x8080808080808080)
_FROM_A = np.uint64((0x80 - ord("a")) * 0x0101010101010101)
_PAST_Z = np.uint64((0x7F - ord("z")) * 0x0101010101010101)
_SLOT_MASK = np.uint64(tb.SLOTS - 1)
_WORD_KEY = np.uint64(tb.WORD_KEY)


@intrinsic
def _eight_bytes(typing_context, array, at):
    """Eight bytes of a uint8 array as one number, the first byte the most significant; no bounds are checked."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        value = builder.load(place)
        value.align = 1
        return builder.bswap(value)

    return types.uint64(array, types.int64), generate


@intrinsic
def _leading_zeros(typing_context, value):
    """Zero bits before the first one; 64 for zero."""

    def generate(context, builder, signature, arguments):
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@intrinsic
def borrowed(typing_context, array):
    """The same array without an owner: passing it on counts no references.

    The counts are atomic and cost more than reading a token. The caller must keep the array alive.
    """

    def generate(context, builder, signature, arguments):
        given = context.make_array(signature.args[0])(context, builder, arguments[0])
        view = context.make_array(signature.return_type)(context, builder)
        populate_array(
            view, data=given.data, shape=given.shape, strides=given.strides, itemsize=given.itemsize, meminfo=None
        )
        return view._getvalue()

    return array(array), generate


@njit(cache=True, inline="always")
def _letters(eight):
    """How many of eight bytes, from the first, are ASCII letters."""
    plain = (eight | _LOWER) & _SEVEN_BITS
    other = ~((plain + _FROM_A) & ~(plain + _PAST_Z) & ~eight) & _HIGH_BITS
    return np.int64(_leading_zeros(other) >> uint64(3))


@njit(cache=True, inline="always")
def read_token(buffer, at, end, t):
    """The first token at or after a byte: end, hash (0 where there is none), whether a number, start."""
    safe = min(end, len(buffer) - 8)
    if at < safe and buffer[at] == 32:  # the blank between two words, most of the time
        at += 1
    while at < safe:
        byte = buffer[at]
        if byte - np.uint8(48) < np.uint8(10):
            whole, k = uint64(0), at
            while k < end and buffer[k] - np.uint8(48) < np.uint8(10):
                whole = whole * uint64(10) + uint64(buffer[k] - np.uint8(48))
                k += 1
            # A comma, point, or the dress of one may lead to further digits.
            if k < end and (
                buffer[k] == 44 or buffer[k] == 46 or buffer[k] == 36 or buffer[k] == 42
                or buffer[k] == 92 or buffer[k] == 123 or buffer[k] == 125
            ):  # fmt: skip
                return next_token(buffer, at, end, t)
            value = (whole * _PRIME) + _NUMBER_SALT
            value *= _FINAL
            return k, value ^ (value >> uint64(29)), True, at
        value, k = _SEED, at
        eight = _eight_bytes(buffer, k)
        count = _letters(eight)
        if count == 0:
            if t[byte] == tb.SEPARATOR or (byte == 46 and buffer[at + 1] - np.uint8(48) >= np.uint8(10)):
                at += 1
                continue
            return next_token(buffer, at, end, t)
        while count == 8 and k + 8 < safe:
            value = (value ^ (eight | _LOWER)) * _PRIME
            value ^= value >> uint64(32)
            k += 8
            eight = _eight_bytes(buffer, k)
            count = _letters(eight)
        if count == 8 or k + count >= end:
            return next_token(buffer, at, end, t)
        if count:
            value ^= (eight | _LOWER) >> uint64(64 - 8 * count)
        value *= _PRIME
        value ^= value >> uint64(32)
        value *= _FINAL
        value ^= value >> uint64(29)
        k += count
        # An apostrophe, entity or other script may go on with the word; a number word is not itself.
        if buffer[k] >= 128 or buffer[k] == 39 or buffer[k] == 38:
            return next_token(buffer, at, end, t)
        if t[_WORD_KEY + (value & _SLOT_MASK)] != 0:
            return next_token(buffer, at, end, t)
        return k, value, False, at
    return next_token(buffer, at, end, t)
