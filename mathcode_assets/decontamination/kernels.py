"""The two passes of the scan over the bytes of the text column.

`find_candidates` reads every document once and remembers nothing but one number an item: how much of
the item's n-gram weight the document holds. `collect_hits` reads again the few documents where
that number is large, and gives the places, a bounded number at a time.

What makes them fast: a token that no item has cannot be in an n-gram of one, so an n-gram is hashed and
looked up only after as many tokens of the items' vocabulary in a row as it is long. That is one n-gram
in four of mathematical pages, one in eight of others.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mathcode_assets.decontamination.config import GRAM, SHORT_GRAM
from mathcode_assets.decontamination.reading import borrowed, read_token
from mathcode_assets.text.kernel import NUMBER_MASK
from mathcode_assets.text.ngrams import BASE, EXACT_SALT, mix

# State of `collect_hits` between two calls: five tokens, the same with numbers masked, their first bytes,
# tokens so far, next byte, tokens of the vocabulary in a row, tokens since the last number.
STATE_SIZE = 3 * GRAM + 4


@njit(cache=True, inline="always")
def _set(bitmap, key):
    at = (key >> uint64(40)) & uint64(len(bitmap) * 64 - 1)
    return (bitmap[np.int64(at >> uint64(6))] >> (at & uint64(63))) & uint64(1)


@njit(cache=True)
def _find(slot_key, key):
    """Slot of a key, -1 where absent."""
    mask = len(slot_key) - 1
    slot = np.int64(key & uint64(mask))
    while slot_key[slot] != 0:
        if slot_key[slot] == key:
            return slot
        slot = (slot + 1) & mask
    return np.int64(-1)


@njit(cache=True, inline="always")
def _five(a, b, c, d, e):
    """Polynomial of five tokens, as `text.ngrams.push` rolls it."""
    return (((a * BASE + b) * BASE + c) * BASE + d) * BASE + e


@njit(cache=True)
def _count_key(key, slot_key, slot_first, slot_count, item, share, seen, score, touched, n_touched, stamp):
    """Add the shares of a key's postings to their items; the number of items touched so far."""
    slot = _find(slot_key, key)
    if slot < 0:
        return n_touched
    for p in range(slot_first[slot], slot_first[slot] + slot_count[slot]):
        if seen[p] == stamp:
            continue
        seen[p] = stamp
        if score[item[p]] == 0:
            touched[n_touched] = item[p]
            n_touched += 1
        score[item[p]] += share[p]
    return n_touched


@njit(cache=True)
def _item_scores(
    buffer, begin, end, t, vocabulary, bitmap, short_last, short_bitmap, slot_key, slot_first, slot_count, item,
    share, seen, score, touched, stamp,
):  # fmt: skip
    """Weight of each item's n-grams in one document; items touched are listed, their number returned.

    ``seen`` (per posting) and ``stamp`` make sure that an n-gram counts once a document.
    """
    zero = uint64(0)
    a, b, c, d, e = zero, zero, zero, zero, zero  # the last five tokens, e the latest
    f, g, h, i, j = zero, zero, zero, zero, zero  # the same, numbers masked
    known, since_number, n_touched, at = 0, GRAM, 0, begin
    while True:
        at, value, number, _ = read_token(buffer, at, end, t)
        if value == 0:
            return n_touched
        a, b, c, d, e = b, c, d, e, value
        if number:
            f, g, h, i, j = g, h, i, j, NUMBER_MASK
            since_number = 0
            known += 1
        else:
            f, g, h, i, j = g, h, i, j, value
            since_number += 1
            if _set(vocabulary, value) == 0:
                known = 0
                continue
            known += 1
        if known < SHORT_GRAM:
            continue
        if _set(short_last, value) != 0:
            key = mix((c * BASE + d) * BASE + e) ^ EXACT_SALT
            if _set(short_bitmap, key) != 0:
                n_touched = _count_key(
                    key, slot_key, slot_first, slot_count, item, share, seen, score, touched, n_touched, stamp
                )
        if known < GRAM:
            continue
        key = mix(_five(f, g, h, i, j))
        if _set(bitmap, key) != 0:
            n_touched = _count_key(
                key, slot_key, slot_first, slot_count, item, share, seen, score, touched, n_touched, stamp
            )
        if since_number < GRAM:
            key = mix(_five(a, b, c, d, e)) ^ EXACT_SALT
            if _set(bitmap, key) != 0:
                n_touched = _count_key(
                    key, slot_key, slot_first, slot_count, item, share, seen, score, touched, n_touched, stamp
                )


@njit(cache=True)
def find_candidates(
    buffer, offsets, t, vocabulary, bitmap, short_last, short_bitmap, slot_key, slot_first, slot_count, item,
    share, seen, score, touched, stamp, least, out_document, out_item,
):  # fmt: skip
    """Documents of a batch with the items that have at least the least share in them.

    Returns the number of pairs and of documents read: it stops before a document whose items the output
    arrays might not hold. ``stamp`` grows by one a document.
    """
    buffer, t, vocabulary, bitmap = borrowed(buffer), borrowed(t), borrowed(vocabulary), borrowed(bitmap)
    short_last, short_bitmap = borrowed(short_last), borrowed(short_bitmap)
    slot_key, slot_first, slot_count = borrowed(slot_key), borrowed(slot_first), borrowed(slot_count)
    item, share, seen = borrowed(item), borrowed(share), borrowed(seen)
    score, touched = borrowed(score), borrowed(touched)
    used = 0
    for document in range(len(offsets) - 1):
        if used + len(score) > len(out_item):
            return used, document
        n_touched = _item_scores(
            buffer, offsets[document], offsets[document + 1], t, vocabulary, bitmap, short_last, short_bitmap,
            slot_key, slot_first, slot_count, item, share, seen, score, touched, stamp + document,
        )  # fmt: skip
        for k in range(n_touched):
            if score[touched[k]] >= least:
                out_document[used], out_item[used] = document, touched[k]
                used += 1
            score[touched[k]] = 0
    return used, len(offsets) - 1


@njit(cache=True)
def new_state(begin):
    """State of `collect_hits` at the first byte of a document."""
    state = np.zeros(STATE_SIZE, np.uint64)
    state[3 * GRAM + 1], state[3 * GRAM + 3] = uint64(begin), uint64(GRAM)
    return state


@njit(cache=True)
def _append_hits(
    key, own, count, byte, slot_key, slot_first, slot_count, item, position, share, exact, wanted, used, out_item,
    out_token, out_position, out_byte, out_share, out_exact,
):  # fmt: skip
    """Append the hits of a key in wanted items; ``own`` is the exact key of the same tokens. The number of hits."""
    slot = _find(slot_key, key)
    if slot < 0:
        return used
    for p in range(slot_first[slot], slot_first[slot] + slot_count[slot]):
        if wanted[item[p]] != 0:
            out_item[used], out_token[used], out_position[used] = item[p], count, position[p]
            out_byte[used], out_share[used], out_exact[used] = byte, share[p], exact[p] == own
            used += 1
    return used


@njit(cache=True)
def collect_hits(
    buffer, end, t, state, vocabulary, bitmap, short_last, short_bitmap, slot_key, slot_first, slot_count, item,
    position, share, exact, wanted, room, used, out_item, out_token, out_position, out_byte, out_share, out_exact,
):  # fmt: skip
    """Hits of wanted items, in document order, appended at ``used``; stops when the arrays are nearly full.

    ``room`` is how many hits one token may add. Returns the number of hits in the arrays and whether the
    document was read to its end.
    """
    buffer, t, vocabulary, bitmap = borrowed(buffer), borrowed(t), borrowed(vocabulary), borrowed(bitmap)
    short_last, short_bitmap = borrowed(short_last), borrowed(short_bitmap)
    slot_key, slot_first, slot_count = borrowed(slot_key), borrowed(slot_first), borrowed(slot_count)
    item, position, share, exact = borrowed(item), borrowed(position), borrowed(share), borrowed(exact)
    wanted, out_item, out_token = borrowed(wanted), borrowed(out_item), borrowed(out_token)
    out_position, out_byte = borrowed(out_position), borrowed(out_byte)
    out_share, out_exact = borrowed(out_share), borrowed(out_exact)
    a, b, c, d, e = state[0], state[1], state[2], state[3], state[4]  # the last five tokens, e the latest
    f, g, h, i, j = state[5], state[6], state[7], state[8], state[9]  # the same, numbers masked
    k, m, n, o, p = state[10], state[11], state[12], state[13], state[14]  # their first bytes
    count, at = np.int64(state[3 * GRAM]), np.int64(state[3 * GRAM + 1])
    known, since_number = np.int64(state[3 * GRAM + 2]), np.int64(state[3 * GRAM + 3])
    whole = False
    while used + room <= len(out_item):
        at, value, number, start = read_token(buffer, at, end, t)
        if value == 0:
            whole = True
            break
        a, b, c, d, e = b, c, d, e, value
        k, m, n, o, p = m, n, o, p, uint64(start)
        count += 1
        if number:
            f, g, h, i, j = g, h, i, j, NUMBER_MASK
            since_number = 0
            known += 1
        else:
            f, g, h, i, j = g, h, i, j, value
            since_number += 1
            if _set(vocabulary, value) == 0:
                known = 0
                continue
            known += 1
        if known < SHORT_GRAM:
            continue
        if known >= GRAM:
            key = mix(_five(f, g, h, i, j))
            in_table = _set(bitmap, key) != 0
            if in_table or since_number < GRAM:
                own = mix(_five(a, b, c, d, e)) ^ EXACT_SALT
                if in_table:
                    used = _append_hits(
                        key, own, count - GRAM, np.int64(k), slot_key, slot_first, slot_count, item, position, share,
                        exact, wanted, used, out_item, out_token, out_position, out_byte, out_share, out_exact,
                    )  # fmt: skip
                if since_number < GRAM and _set(bitmap, own) != 0:
                    used = _append_hits(
                        own, own, count - GRAM, np.int64(k), slot_key, slot_first, slot_count, item, position, share,
                        exact, wanted, used, out_item, out_token, out_position, out_byte, out_share, out_exact,
                    )  # fmt: skip
        if _set(short_last, value) != 0:
            key = mix((c * BASE + d) * BASE + e) ^ EXACT_SALT
            if _set(short_bitmap, key) != 0:
                used = _append_hits(
                    key, key, count - SHORT_GRAM, np.int64(n), slot_key, slot_first, slot_count, item, position, share,
                    exact, wanted, used, out_item, out_token, out_position, out_byte, out_share, out_exact,
                )  # fmt: skip
    state[0], state[1], state[2], state[3], state[4] = a, b, c, d, e
    state[5], state[6], state[7], state[8], state[9] = f, g, h, i, j
    state[10], state[11], state[12], state[13], state[14] = k, m, n, o, p
    state[3 * GRAM], state[3 * GRAM + 1] = uint64(count), uint64(at)
    state[3 * GRAM + 2], state[3 * GRAM + 3] = uint64(known), uint64(since_number)
    return used, whole
