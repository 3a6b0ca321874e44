"""Compiled parts of the stored index of the corpus: building a segment of it, and looking up in one.

A window is three tokens in a row. It has one key with its numbers masked, and where it holds a number a second
one with the numbers as they are. The leading bits of a key are its bucket; an entry of a bucket is a document's
number within the segment and the next `REST_BITS` of the key.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mathcode_assets.decontamination.config import SHORT_GRAM
from mathcode_assets.decontamination.reading import borrowed, read_token
from mathcode_assets.text.kernel import NUMBER_MASK
from mathcode_assets.text.ngrams import BASE, EXACT_SALT, mix

REST_BITS = 4
DOCUMENT_BITS = 12  # an entry is 16 bits
MAX_DOCUMENTS = (1 << DOCUMENT_BITS) - 1  # of a segment; one fewer than would fit, so that counts fit 16 bits, too
KEYS_PER_BYTE = 2  # at most: a token has a byte or more, and begins no more than two keys

_DOCUMENT_MASK = np.uint64((1 << DOCUMENT_BITS) - 1)
_REST_MASK = np.uint64((1 << REST_BITS) - 1)


@njit(cache=True)
def add_documents(buffer, offsets, t, number, room, keys, used):
    """Append the keys of documents, each with its document's number in place of the lowest bits.

    Stops before a document whose keys might not fit, or once `room` keys are there or the segment has
    `MAX_DOCUMENTS`. Returns the number of keys and of documents read.
    """
    buffer, t, keys = borrowed(buffer), borrowed(t), borrowed(keys)
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        own = uint64(number + document)
        if used >= room or number + document >= MAX_DOCUMENTS or used + KEYS_PER_BYTE * (end - begin) > len(keys):
            return used, document
        a, b, c = uint64(0), uint64(0), uint64(0)
        f, g, h = uint64(0), uint64(0), uint64(0)  # the same, numbers masked
        count, since_number, at = 0, SHORT_GRAM, begin
        while True:
            at, value, is_number, _ = read_token(buffer, at, end, t)
            if value == 0:
                break
            a, b, c = b, c, value
            f, g, h = g, h, NUMBER_MASK if is_number else value
            since_number = 0 if is_number else since_number + 1
            count += 1
            if count < SHORT_GRAM:
                continue
            keys[used] = (mix((f * BASE + g) * BASE + h) & ~_DOCUMENT_MASK) | own
            used += 1
            if since_number < SHORT_GRAM:
                keys[used] = ((mix((a * BASE + b) * BASE + c) ^ EXACT_SALT) & ~_DOCUMENT_MASK) | own
                used += 1
    return used, len(offsets) - 1


@njit(cache=True)
def pack(keys, bits):
    """Keys in the order of their documents as buckets: entries (uint16) of each bucket (uint16), one after the other.

    Within a bucket entries ascend, and each stands there once.
    """
    shift = uint64(64 - bits)
    first = np.zeros((1 << bits) + 1, np.int64)
    for k in range(len(keys)):
        first[np.int64(keys[k] >> shift) + 1] += 1
    for bucket in range(1 << bits):
        first[bucket + 1] += first[bucket]
    entries, filled = np.empty(len(keys), np.uint16), first[:-1].copy()
    for k in range(len(keys)):
        bucket = np.int64(keys[k] >> shift)
        rest = (keys[k] >> (shift - uint64(REST_BITS))) & _REST_MASK
        entries[filled[bucket]] = np.uint16((keys[k] & _DOCUMENT_MASK) << uint64(REST_BITS) | rest)
        filled[bucket] += 1
    counts, used = np.zeros(1 << bits, np.uint16), 0
    for bucket in range(1 << bits):
        begin = used
        for k in range(first[bucket], first[bucket + 1]):
            # Documents ascend already, so an entry moves past those of its own document only: fifteen at most.
            entry, place = entries[k], used
            while place > begin and entries[place - 1] > entry:
                place -= 1
            if place > begin and entries[place - 1] == entry:
                continue
            for other in range(used, place, -1):
                entries[other] = entries[other - 1]
            entries[place] = entry
            used += 1
        counts[bucket] = used - begin
    return counts, entries[:used].copy()


@njit(cache=True)
def _documents_of(counts, entries, queries):
    """Documents of each query, ascending: where its documents begin, and the documents."""
    bits = np.int64(0)
    while (1 << bits) < len(counts):
        bits += 1
    shift = uint64(64 - bits)
    first = np.zeros(len(queries) + 1, np.int64)
    begins = np.empty(len(queries), np.int64)
    bucket, begin = np.int64(0), np.int64(0)
    for q in range(len(queries)):  # they ascend, and so do buckets
        wanted, rest = np.int64(queries[q] >> shift), (queries[q] >> (shift - uint64(REST_BITS))) & _REST_MASK
        while bucket < wanted:
            begin += counts[bucket]
            bucket += 1
        begins[q] = begin
        found = 0
        for k in range(begin, begin + counts[wanted]):
            found += uint64(entries[k]) & _REST_MASK == rest
        first[q + 1] = first[q] + found
    documents = np.empty(first[-1], np.uint16)
    for q in range(len(queries)):
        wanted, rest = np.int64(queries[q] >> shift), (queries[q] >> (shift - uint64(REST_BITS))) & _REST_MASK
        place = first[q]
        for k in range(begins[q], begins[q] + counts[wanted]):
            if uint64(entries[k]) & _REST_MASK == rest:
                documents[place] = entries[k] >> np.uint16(REST_BITS)
                place += 1
    return first, documents


@njit(cache=True, inline="always")
def _place_of(documents, begin, end, document):
    """Where a document stands, or would stand, in an ascending stretch."""
    while begin < end:
        middle = (begin + end) >> 1
        if documents[middle] < document:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit(cache=True)
def _documents_with_all(windows, first, documents):
    """Documents that hold all windows of an n-gram, for each n-gram: where they begin, and the documents."""
    n = len(windows)
    shortest, begins = np.empty(n, np.int64), np.zeros(n + 1, np.int64)
    room = 0
    for gram in range(n):
        least = 0
        for w in range(1, windows.shape[1]):
            length = first[windows[gram, w] + 1] - first[windows[gram, w]]
            if length < first[windows[gram, least] + 1] - first[windows[gram, least]]:
                least = w
        shortest[gram] = least
        room += first[windows[gram, least] + 1] - first[windows[gram, least]]
    found, used = np.empty(room, np.uint16), 0
    for gram in range(n):
        own = windows[gram, shortest[gram]]
        for k in range(first[own], first[own + 1]):
            whole = True
            for w in range(windows.shape[1]):
                other = windows[gram, w]
                if other != own:
                    at = _place_of(documents, first[other], first[other + 1], documents[k])
                    if at == first[other + 1] or documents[at] != documents[k]:
                        whole = False
                        break
            if whole:
                found[used] = documents[k]
                used += 1
        begins[gram + 1] = used
    return begins, found[:used]


@njit(cache=True)
def documents_with_share(counts, entries, n_documents, queries, windows, item_first, grams, shares, least):
    """Which documents of a segment may hold so much of some item: bool[n_documents].

    queries: uint64 keys, ascending; windows: int64[n_grams, 3] into them. The n-grams of an item and their
    shares stand from ``item_first[item]`` to the next.
    """
    first, documents = _documents_of(counts, entries, queries)
    first, documents = _documents_with_all(windows, first, documents)
    score, touched = np.zeros(n_documents, np.float64), np.empty(n_documents, np.int64)
    found = np.zeros(n_documents, np.bool_)
    for item in range(len(item_first) - 1):
        n_touched = 0
        for p in range(item_first[item], item_first[item + 1]):
            for k in range(first[grams[p]], first[grams[p] + 1]):
                document = np.int64(documents[k])
                if score[document] == 0:
                    touched[n_touched] = document
                    n_touched += 1
                score[document] += shares[p]
        for k in range(n_touched):
            if score[touched[k]] >= least:
                found[touched[k]] = True
            score[touched[k]] = 0
    return found
