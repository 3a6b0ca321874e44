"""The compiled parts of deduplication: words, shingles, signatures and set comparison, on Arrow buffers.

A *word* of prose is what stands between white space (what `str.split` takes for it). A word of code is a run of
identifier characters or a run of other characters, so `f(x,y)` and `f( x, y )` differ little and `x+1` is not `x-1`.
A *shingle* is SHINGLE_WORDS words in a row, known by a 64-bit hash; a text of fewer words is one shingle.

numba keeps compiled functions by the time stamp of their own file, so everything compiled is in this one, except
what `text.ngrams` shares.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numba import njit, uint32, uint64

from mathcode_assets.text.ngrams import mix, push, rolling_top

SHINGLE_WORDS = 5
# 21 bands of 6: a pair at Jaccard 0.8 has an equal band with probability 1 - (1 - 0.8^6)^21 = 99.8 %. 20 of 7 give
# 99.1 %, 14 of 8 give 92.4 %; the 126 hashes are a tenth fewer than 140, for twice the candidates at 0.5 (28 %).
BANDS = 21
BAND_ROWS = 6
# Of a band's key. At 10^9 entries some 5 * 10^5 pairs collide by chance and are sorted out with the other candidates.
BAND_BYTES = 5
NEVER = 0  # no signature: a text without words. Its bands are all zero bytes

_ORDINARY, _SPACE, _WIDE_SPACE, _MARK = range(4)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xD1342543DE82EF95)
_CODE_SALT = np.uint64(0x5851F42D4C957F2D)  # prose and code never meet in a bucket
_CHUNK = 2048  # hashes at a time: 8 kB, which stay in the first cache while every function goes over them


def _byte_classes(code: bool) -> np.ndarray:
    classes = np.full(256, _ORDINARY, dtype=np.uint8)
    if code:
        classes[:128] = _MARK
        for byte in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_":
            classes[byte] = _ORDINARY
    classes[[*range(9, 14), *range(28, 33)]] = _SPACE
    classes[[0xC2, 0xE1, 0xE2, 0xE3]] = _WIDE_SPACE  # lead bytes of the white space beyond ASCII
    return classes


PROSE_CLASSES = _byte_classes(code=False)
CODE_CLASSES = _byte_classes(code=True)


def _functions() -> tuple[np.ndarray, np.ndarray]:
    """(masks, odd multipliers) of the hash functions x -> (x ^ mask) * multiplier mod 2^32.

    From a hash of the function's number, so that no release of a random generator changes kept signatures.
    """
    drawn = [hashlib.sha256(b"minhash %d" % number).digest() for number in range(BANDS * BAND_ROWS)]
    numbers = np.frombuffer(b"".join(drawn), "<u4").reshape(-1, 8)
    return numbers[:, 0].astype(np.uint32), numbers[:, 1].astype(np.uint32) | np.uint32(1)


MASKS, MULTIPLIERS = _functions()


@njit(cache=True)
def look_composed(data, offsets, starters, out):
    """Whether each text is certainly in NFC: all its characters are among `starters`, bool by code point of plane 0."""
    for row in range(len(offsets) - 1):
        at, end, composed = uint64(offsets[row]), uint64(offsets[row + 1]), True
        while at < end and composed:
            first = uint64(data[at])
            if first < uint64(0x80):
                at += uint64(1)
            elif first < uint64(0xE0):
                composed = starters[(first & uint64(31)) << uint64(6) | uint64(data[at + uint64(1)]) & uint64(63)]
                at += uint64(2)
            elif first < uint64(0xF0):
                point = (first & uint64(15)) << uint64(12) | (uint64(data[at + uint64(1)]) & uint64(63)) << uint64(6)
                composed = starters[point | uint64(data[at + uint64(2)]) & uint64(63)]
                at += uint64(3)
            else:
                composed = False
        out[row] = composed


@njit(cache=True)
def _wide_space(data, at, end):
    """Bytes of the white space character beyond ASCII at a byte, 0 where there is none."""
    if data[at] == 0xC2:
        return 2 if at + 1 < end and (data[at + 1] == 0x85 or data[at + 1] == 0xA0) else 0
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if data[at] == 0xE2:
        if second == 0x80:
            return 3 if 0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
        return 3 if second == 0x81 and third == 0x9F else 0
    if data[at] == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    return 3 if second == 0x80 and third == 0x80 else 0


@njit(cache=True)
def fold_and_shingle(data, start, end, classes, folded, shingles):
    """One pass over data[start:end]: words to `folded`, one space between; hashes of shingles to `shingles`.

    The shingles come in order, repeated ones too. Unsigned places spare the loop the test for negative ones.

    Args:
        data: UTF-8 bytes.
        start: of the text in them.
        end: one past the text.
        classes: PROSE_CLASSES or CODE_CLASSES.
        folded: uint8, room for a text of prose; empty for no folded text.
        shingles: uint64, room for a shingle per word: never more than bytes.

    Returns:
        (bytes folded, shingles found).
    """
    at, stop = uint64(start), uint64(end)
    fill = len(folded) > 0
    if classes[40] == _MARK and end - start >= 3 and data[at] == 0xEF:  # code: a byte order mark at the start goes
        at += uint64(3) if data[at + uint64(1)] == 0xBB and data[at + uint64(2)] == 0xBF else uint64(0)
    size, count, n_words = uint64(0), uint64(0), 0
    top, gram = rolling_top(SHINGLE_WORDS), uint64(0)
    w0, w1, w2, w3, w4 = uint64(0), uint64(0), uint64(0), uint64(0), uint64(0)
    while at < stop:
        kind = classes[data[at]]
        if kind == _SPACE:
            at += uint64(1)
            continue
        if kind == _WIDE_SPACE:
            width = _wide_space(data, at, stop)
            if width:
                at += uint64(width)
                continue
        first = at
        value, part, filled = _SEED, uint64(0), 0
        if fill and n_words:
            folded[size] = 32
            size += uint64(1)
        mark = kind == _MARK
        while at < stop:
            byte = data[at]
            kind = classes[byte]
            if kind != _ORDINARY:
                if kind == _SPACE or (kind == _MARK) != mark:
                    break
                if kind == _WIDE_SPACE and _wide_space(data, at, stop) > 0:
                    break
            elif mark:
                break
            part = part << uint64(8) | uint64(byte)
            filled += 1
            if filled == 8:
                value = (value ^ part) * _PRIME
                value ^= value >> uint64(32)
                part, filled = uint64(0), 0
            at += uint64(1)
        if fill:
            for k in range(first, at):
                folded[size] = data[k]
                size += uint64(1)
        value = (value ^ part) * _PRIME
        value = ((value ^ value >> uint64(29)) + (at - first)) * _PRIME
        gram = push(gram, value, w0, top)
        w0, w1, w2, w3, w4 = w1, w2, w3, w4, value
        n_words += 1
        if n_words >= SHINGLE_WORDS:
            shingles[count] = mix(gram)
            count += uint64(1)
    if 0 < n_words < SHINGLE_WORDS:
        shingles[count] = mix(gram + uint64(n_words))
        count += uint64(1)
    return size, count


@njit(cache=True)
def _minima(hashes, masks, multipliers, minima):
    """Lower each function's minimum by these 32-bit hashes."""
    for k in range(len(masks)):
        mask, multiplier, lowest = masks[k], multipliers[k], minima[k]
        for j in range(len(hashes)):
            lowest = min(lowest, uint32((hashes[j] ^ mask) * multiplier))
        minima[k] = lowest


@njit(cache=True)
def band_keys(shingles, salt, masks, multipliers, out):
    """The band keys of a set of shingles as BANDS * BAND_BYTES little-endian bytes."""
    minima = np.full(len(masks), 0xFFFFFFFF, np.uint32)
    chunk = np.empty(_CHUNK, np.uint32)
    for first in range(0, len(shingles), _CHUNK):
        size = min(_CHUNK, len(shingles) - first)
        for k in range(size):
            chunk[k] = uint32(shingles[first + k] >> uint64(32))
        _minima(chunk[:size], masks, multipliers, minima)
    for band in range(BANDS):
        key = salt + uint64(band + 1) * _SEED
        for row in range(BAND_ROWS):
            key = mix(key ^ uint64(minima[band * BAND_ROWS + row]))
        for k in range(BAND_BYTES):
            out[band * BAND_BYTES + k] = np.uint8(key >> uint64(24 + 8 * k) & uint64(255))


@njit(cache=True)
def fingerprint_rows(data, offsets, code, classes, masks, multipliers, folded, folded_ends, bands):
    """Folded text and band keys of each text of a column.

    Args:
        data: UTF-8 bytes of all texts.
        offsets: borders of the texts in them.
        code: words of code; nothing is folded then.
        classes: PROSE_CLASSES or CODE_CLASSES.
        masks: MASKS.
        multipliers: MULTIPLIERS.
        folded: uint8, room for all texts, filled with the folded texts one after another.
        folded_ends: int64 per text, filled with where each ends in `folded`.
        bands: uint8[texts, BANDS * BAND_BYTES] of zeros, filled.
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    shingles = np.empty(longest, np.uint64)
    salt = _CODE_SALT if code else uint64(0)
    size = 0
    for row in range(len(offsets) - 1):
        space = folded[:0] if code else folded[size:]
        n_bytes, count = fold_and_shingle(data, offsets[row], offsets[row + 1], classes, space, shingles)
        size += n_bytes
        folded_ends[row] = size
        if count:
            band_keys(shingles[:count], salt, masks, multipliers, bands[row])


@njit(cache=True)
def shared(one, other):
    """Size of the intersection of two ascending arrays without repetitions."""
    i, j, count = 0, 0, 0
    while i < len(one) and j < len(other):
        a, b = one[i], other[j]
        count += a == b
        i += a <= b
        j += b <= a
    return count


@njit(cache=True)
def similarities(sets, starts, ends, left, right, out):
    """Jaccard similarity of each pair (left[k], right[k]) of sets, which are sets[starts[i]:ends[i]]."""
    for k in range(len(left)):
        one, other = sets[starts[left[k]] : ends[left[k]]], sets[starts[right[k]] : ends[right[k]]]
        both = shared(one, other)
        union = len(one) + len(other) - both
        out[k] = both / union if union else 0.0


@njit(cache=True)
def bucket_pairs(keys, numbers, crowd, leaders, crowded):
    """Pairs of documents to compare, of entries ascending by (key, number).

    All pairs of a key with at most `crowd` documents; of more, each with the first `leaders` ones.

    Args:
        keys: uint64.
        numbers: uint64, equally long.
        crowd: see `DeduplicationConfig`.
        leaders: `crowd_leaders` there.
        crowded: bool per entry, set where its key has more than `crowd` documents.

    Returns:
        uint64 per pair: the lower number in the upper half, the higher one in the lower.
    """
    total, start = 0, 0
    while start < len(keys):
        end = start + 1
        while end < len(keys) and keys[end] == keys[start]:
            end += 1
        size = end - start
        first = size if size <= crowd else min(leaders, size)
        crowded[start:end] = size > crowd
        total += first * (first - 1) // 2 + first * (size - first)
        start = end
    pairs = np.empty(total, np.uint64)
    count, start = 0, 0
    while start < len(keys):
        end = start + 1
        while end < len(keys) and keys[end] == keys[start]:
            end += 1
        last = end if end - start <= crowd else min(start + leaders, end)
        for i in range(start, last):
            for j in range(i + 1, end):
                pairs[count] = numbers[i] << uint64(32) | numbers[j]
                count += 1
        start = end
    return pairs


@njit(cache=True)
def decide(starts, neighbours, nearness, keeper, similarity):
    """Texts in order of preference: each stays unless it is near one that stays already.

    Args:
        starts: text i is near neighbours[starts[i] : starts[i + 1]].
        neighbours: the texts.
        nearness: how near each of them is.
        keeper: int64 per text, filled with the text that stays for it, itself where it stays.
        similarity: float64 per text, filled with how near that is.
    """
    keeper[:] = -1
    for text in range(len(starts) - 1):
        if keeper[text] >= 0:
            continue
        keeper[text], similarity[text] = text, 1.0
        for k in range(starts[text], starts[text + 1]):
            other = neighbours[k]
            if keeper[other] < 0:
                keeper[other], similarity[other] = text, nearness[k]


@njit(cache=True)
def entries_seen(bands, seen):
    """(rows, keys) of the entries whose key's lowest bits are marked in `seen`, a table of a power of two."""
    mask = uint64(len(seen) - 1)
    count = 0
    rows, keys = np.empty(bands.shape[0] * BANDS, np.int64), np.empty(bands.shape[0] * BANDS, np.uint64)
    for row in range(bands.shape[0]):
        for band in range(BANDS):
            key = uint64(0)
            for k in range(BAND_BYTES):
                key |= uint64(bands[row, band * BAND_BYTES + k]) << uint64(8 * k)
            if seen[key & mask]:
                rows[count], keys[count] = row, key
                count += 1
    return rows[:count], keys[:count]
