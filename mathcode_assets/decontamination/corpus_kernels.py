"""Compiled parts of the stored index of the corpus: building a segment of it, and looking up in one.

A window is three tokens in a row. It has one key with its numbers masked, and where it holds a number a second
one with the numbers as they are. The leading bits of a key are its bucket; an entry of a bucket is the number of a
piece of a document within the segment and the next `REST_BITS` of the key. Pieces are a few pages long, because in a
whole book any three windows can be found far from each other.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mathcode_assets.decontamination.config import GRAM, SHORT_GRAM
from mathcode_assets.decontamination.reading import borrowed, read_token
from mathcode_assets.text.kernel import NUMBER_MASK
from mathcode_assets.text.ngrams import BASE, EXACT_SALT, mix

REST_BITS = 2
PIECE_BITS = 14  # an entry is 16 bits
MAX_PIECES = (1 << PIECE_BITS) - 1  # of a segment; one fewer than would fit, so that counts fit 16 bits, too
PIECE_BYTES = 6144
_MOST_PIECES = 8000  # of one document, which has longer pieces then
_PART_BITS = 8
_SHARED = GRAM - SHORT_GRAM  # windows at the head of a piece that the piece before holds, too
_KEYS_PER_BYTE = 2  # at most: a token has a byte or more, and ends no window but with two keys

_PIECE_MASK = np.uint64((1 << PIECE_BITS) - 1)
_REST_MASK = np.uint64((1 << REST_BITS) - 1)


@njit(cache=True)
def piece_bytes(n_bytes):
    """Length of the pieces of a document, and how many there are at most."""
    length = max(PIECE_BYTES, n_bytes // _MOST_PIECES + 1)
    return length, n_bytes // length + 1


@njit(cache=True)
def room_for(n_bytes):
    """Keys that a document of so many bytes may have."""
    return _KEYS_PER_BYTE * (n_bytes + _SHARED * piece_bytes(n_bytes)[1])


@njit(cache=True)
def add_documents(buffer, offsets, t, n_rows, n_pieces, most_keys, keys, used, row_of_piece):
    """Append the keys of documents, each with the number of its piece in place of the lowest bits.

    Stops before a document whose keys or pieces might not fit, and once there are ``most_keys``. Returns the number of
    keys, of documents and of pieces in the segment then.
    """
    buffer, t, keys = borrowed(buffer), borrowed(t), borrowed(keys)
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        length, most = piece_bytes(end - begin)
        if used >= most_keys or n_pieces + most > MAX_PIECES or used + room_for(end - begin) > len(keys):
            break
        a, b, c = uint64(0), uint64(0), uint64(0)
        f, g, h = uint64(0), uint64(0), uint64(0)  # the same, numbers masked
        count, since_number, at = 0, SHORT_GRAM, begin
        first, border, since_border = n_pieces, begin + length, _SHARED
        row_of_piece[n_pieces] = n_rows
        while True:
            at, value, is_number, start = read_token(buffer, at, end, t)
            if value == 0:
                break
            a, b, c = b, c, value
            f, g, h = g, h, NUMBER_MASK if is_number else value
            since_number = 0 if is_number else since_number + 1
            count += 1
            if count < SHORT_GRAM:
                continue
            # The windows of an n-gram begin in one piece or end in the next, so one of the two holds all of them.
            if start >= border and since_border >= _SHARED:
                n_pieces, since_border, border = n_pieces + 1, 0, start + length
                row_of_piece[n_pieces] = n_rows
            soft = mix((f * BASE + g) * BASE + h) & ~_PIECE_MASK
            exact = (mix((a * BASE + b) * BASE + c) ^ EXACT_SALT) & ~_PIECE_MASK
            lowest = n_pieces - 1 if since_border < _SHARED and n_pieces > first else n_pieces
            for piece in range(lowest, n_pieces + 1):
                keys[used] = soft | uint64(piece)
                used += 1
                if since_number < SHORT_GRAM:
                    keys[used] = exact | uint64(piece)
                    used += 1
            since_border += 1
        n_rows, n_pieces = n_rows + 1, n_pieces + 1
    return used, n_rows, n_pieces


@njit(cache=True)
def pack(keys, bits):
    """Keys as buckets: how many entries each bucket has (uint16), and the entries (uint16), one bucket after the other.

    Within a bucket entries ascend, and each stands there once. No key is more than one piece behind one before it.
    """
    # First by a few bits, then each part by the others: what is written at a time stays in the cache.
    own_bits = max(0, bits - _PART_BITS)
    parted, borders = _parted(keys, uint64(64 - bits + own_bits), 1 << (bits - own_bits))
    shift, rest_shift = uint64(64 - bits), uint64(64 - bits - REST_BITS)
    mask = uint64((1 << own_bits) - 1)
    counts, entries = np.zeros(1 << bits, np.uint16), np.empty(len(keys), np.uint16)
    first, used = np.empty((1 << own_bits) + 1, np.int64), 0
    for part in range(len(borders) - 1):
        own = parted[borders[part] : borders[part + 1]]
        first[:] = 0
        for k in range(len(own)):
            first[np.int64((own[k] >> shift) & mask) + 1] += 1
        for bucket in range(1 << own_bits):
            first[bucket + 1] += first[bucket]
        found, filled = np.empty(len(own), np.uint16), first[:-1].copy()
        for k in range(len(own)):
            bucket = np.int64((own[k] >> shift) & mask)
            entry = (own[k] & _PIECE_MASK) << uint64(REST_BITS) | ((own[k] >> rest_shift) & _REST_MASK)
            found[filled[bucket]] = np.uint16(entry)
            filled[bucket] += 1
        for bucket in range(1 << own_bits):
            begin = used
            for k in range(first[bucket], first[bucket + 1]):
                used = _insert(entries, begin, used, found[k])
            counts[(part << own_bits) + bucket] = used - begin
    return counts, entries[:used].copy()


@njit(cache=True)
def _parted(keys, shift, n):
    """The keys by their leading bits, in the order they came, and where each part begins."""
    borders = np.zeros(n + 1, np.int64)
    for k in range(len(keys)):
        borders[np.int64(keys[k] >> shift) + 1] += 1
    for part in range(n):
        borders[part + 1] += borders[part]
    parted, filled = np.empty(len(keys), np.uint64), borders[:-1].copy()
    for k in range(len(keys)):
        part = np.int64(keys[k] >> shift)
        parted[filled[part]] = keys[k]
        filled[part] += 1
    return parted, borders


@njit(cache=True, inline="always")
def _insert(entries, begin, used, entry):
    """Put an entry where it belongs in an ascending stretch, unless it stands there; the end of the stretch."""
    # Pieces nearly ascend already, so an entry moves past those of its own and the next piece only.
    place = used
    while place > begin and entries[place - 1] > entry:
        place -= 1
    if place > begin and entries[place - 1] == entry:
        return used
    for other in range(used, place, -1):
        entries[other] = entries[other - 1]
    entries[place] = entry
    return used + 1


@njit(cache=True)
def _pieces_of(counts, entries, queries):
    """Pieces of each query, ascending: where its pieces begin, and the pieces."""
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
    pieces = np.empty(first[-1], np.uint16)
    for q in range(len(queries)):
        wanted, rest = np.int64(queries[q] >> shift), (queries[q] >> (shift - uint64(REST_BITS))) & _REST_MASK
        place = first[q]
        for k in range(begins[q], begins[q] + counts[wanted]):
            if uint64(entries[k]) & _REST_MASK == rest:
                pieces[place] = entries[k] >> np.uint16(REST_BITS)
                place += 1
    return first, pieces


@njit(cache=True, inline="always")
def _place_of(pieces, begin, end, piece):
    """Where a piece stands, or would stand, in an ascending stretch."""
    while begin < end:
        middle = (begin + end) >> 1
        if pieces[middle] < piece:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit(cache=True)
def _documents_with_all(windows, first, pieces, row_of_piece):
    """Documents that hold all windows of an n-gram in one piece: where those of each begin, and the documents."""
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
            piece, whole = pieces[k], True
            for w in range(windows.shape[1]):
                other = windows[gram, w]
                if other != own:
                    at = _place_of(pieces, first[other], first[other + 1], piece)
                    if at == first[other + 1] or pieces[at] != piece:
                        whole = False
                        break
            # An n-gram counts once a document.
            if whole and (used == begins[gram] or found[used - 1] != row_of_piece[piece]):
                found[used] = row_of_piece[piece]
                used += 1
        begins[gram + 1] = used
    return begins, found[:used]


@njit(cache=True)
def documents_with_share(
    counts, entries, row_of_piece, n_rows, queries, windows, item_first, grams, shares, least
):  # fmt: skip
    """Which documents of a segment may hold so much of some item: bool[n_rows].

    queries: uint64 keys, ascending; windows: int64[n_grams, 3] into them. The n-grams of an item and their
    shares stand from ``item_first[item]`` to the next.
    """
    first, pieces = _pieces_of(counts, entries, queries)
    first, documents = _documents_with_all(windows, first, pieces, row_of_piece)
    score, touched = np.zeros(n_rows, np.float64), np.empty(n_rows, np.int64)
    found = np.zeros(n_rows, np.bool_)
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
