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
    item, wanted, exact = borrowed(item), borrowed(wanted), borrowed(exact)
    state = borrowed(state)
    tokens, masks, starts = state[:GRAM], state[GRAM : 2 * GRAM], state[2 * GRAM : 3 * GRAM]
    count, at = np.int64(state[3 * GRAM]), np.int64(state[3 * GRAM + 1])
    known, since_number = np.int64(state[3 * GRAM + 2]), np.int64(state[3 * GRAM + 3])
    whole = False
    while True:
        at, value, number, start = read_token(buffer, at, end, t)
        if value == 0:
            whole = True
            break
        for k in range(GRAM - 1):
            tokens[k], masks[k], starts[k] = tokens[k + 1], masks[k + 1], starts[k + 1]
        tokens[GRAM - 1], masks[GRAM - 1] = value, NUMBER_MASK if number else value
        starts[GRAM - 1] = uint64(start)
        count += 1
        since_number = 0 if number else since_number + 1
        known = known + 1 if number or _set(vocabulary, value) != 0 else 0
        if known < SHORT_GRAM:
            if used + room > len(out_item):
                break
            continue
        for kind in range(3):
            key = _key(kind, known, since_number, value, tokens, masks, bitmap, short_last, short_bitmap)
            slot = _find(slot_key, key) if key != 0 else np.int64(-1)
            if slot < 0:
                continue
            n = SHORT_GRAM if kind == 2 else GRAM
            for p in range(slot_first[slot], slot_first[slot] + slot_count[slot]):
                if wanted[item[p]] == 0:
                    continue
                out_item[used], out_token[used], out_position[used] = item[p], count - n, position[p]
                out_byte[used], out_share[used] = np.int64(starts[GRAM - n]), share[p]
                own = (
                    key if kind > 0 else mix(_five(tokens[0], tokens[1], tokens[2], tokens[3], tokens[4])) ^ EXACT_SALT
                )
                out_exact[used] = exact[p] == own
                used += 1
        if used + room > len(out_item):
            break
    state[3 * GRAM], state[3 * GRAM + 1] = uint64(count), uint64(at)
    state[3 * GRAM + 2], state[3 * GRAM + 3] = uint64(known), uint64(since_number)
    return used, whole


@njit(cache=True, inline="always")
def _key(kind, known, since_number, value, tokens, masks, bitmap, short_last, short_bitmap):
    """The masked (0), exact (1) or short (2) key of the last tokens; 0 where no item can have it."""
    key = uint64(0)
    if kind == 2:
        if known >= SHORT_GRAM and _set(short_last, value) != 0:
            key = mix((tokens[2] * BASE + tokens[3]) * BASE + tokens[4]) ^ EXACT_SALT
            if _set(short_bitmap, key) == 0:
                key = uint64(0)
    elif known >= GRAM and (kind == 0 or since_number < GRAM):
        if kind == 0:
            key = mix(_five(masks[0], masks[1], masks[2], masks[3], masks[4]))
        else:
            key = mix(_five(tokens[0], tokens[1], tokens[2], tokens[3], tokens[4])) ^ EXACT_SALT
        if _set(bitmap, key) == 0:
            key = uint64(0)
    return key
