"""The compiled parts of the global step: set comparison, candidate pairs, and who stays.

numba keeps compiled functions by the time stamp of their own file: these call none of another.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mathcode_assets.deduplication.signatures import BAND_BYTES, BANDS

_NO_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)  # keys have 40 bits


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
def distinct(values):
    """Move each value of an ascending array to its front once; how many there are."""
    count = 0
    for value in values:
        if count == 0 or value != values[count - 1]:
            values[count] = value
            count += 1
    return count


@njit(cache=True)
def key_table(keys):
    """Band keys, repeated ones too, as a table for `entries_among`: at each place a key, or one there never is."""
    size = 64
    while size < 4 * len(keys):
        size *= 2
    table = np.full(size, _NO_KEY, np.uint64)
    for key in keys:
        place = key & uint64(size - 1)  # keys are hashes
        while table[place] != _NO_KEY and table[place] != key:
            place = (place + uint64(1)) & uint64(size - 1)
        table[place] = key
    return table


@njit(cache=True)
def rows_with_words(bands, rows):
    """Those of some rows whose bands are not all zero."""
    count = 0
    found = np.empty_like(rows)
    for row in rows:
        for byte in bands[row]:
            if byte:
                found[count] = row
                count += 1
                break
    return found[:count]


@njit(cache=True)
def entries_among(bands, rows, table):
    """(rows, keys) of the entries of these rows whose key is in a `key_table`."""
    last = uint64(len(table) - 1)
    count = 0
    found, keys = np.empty(len(rows) * BANDS, np.int64), np.empty(len(rows) * BANDS, np.uint64)
    for row in rows:
        for band in range(BANDS):
            key = uint64(0)
            for k in range(BAND_BYTES):
                key |= uint64(bands[row, band * BAND_BYTES + k]) << uint64(8 * k)
            place = key & last
            while table[place] != _NO_KEY:
                if table[place] == key:
                    found[count], keys[count] = row, key
                    count += 1
                    break
                place = (place + uint64(1)) & last
    return found[:count], keys[:count]
