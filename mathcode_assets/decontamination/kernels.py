"""The two passes of the scan over the bytes of the text column.

`item_scores` reads every document once and remembers nothing but one number an item: how much of
the item's n-gram weight the document holds. `collect_hits` reads again the few documents where
that number is large, and gives the places, a bounded number at a time.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from mathcode_assets.decontamination.config import GRAM, SHORT_GRAM
from mathcode_assets.text.kernel import NUMBER_MASK, next_token
from mathcode_assets.text.ngrams import EXACT_SALT, mix, push, rolling_top

# Rolling state of a document: three polynomials, a ring of the last tokens (exact and masked), a ring of
# their first bytes, tokens so far, next byte, tokens since the last number.
_SOFT, _WHOLE, _TINY, _RING, _RING_SOFT, _RING_START, _COUNT, _AT, _NUMBER = 0, 1, 2, 3, 11, 19, 27, 28, 29
STATE_SIZE = 30


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


@njit(cache=True)
def _advance(buffer, end, t, state, tops, keys):
    """Read one token and put the keys to look up into ``keys``: masked, exact, short. False at the end."""
    at, value, number, start = next_token(buffer, np.int64(state[_AT]), end, t)
    state[_AT] = uint64(at)
    if value == 0:
        return False
    count = np.int64(state[_COUNT])
    soft = NUMBER_MASK if number else value
    old, old_soft = uint64(0), uint64(0)
    if count >= GRAM:
        old, old_soft = state[_RING + ((count - GRAM) & 7)], state[_RING_SOFT + ((count - GRAM) & 7)]
    tiny = state[_RING + ((count - SHORT_GRAM) & 7)] if count >= SHORT_GRAM else uint64(0)
    state[_SOFT] = push(state[_SOFT], soft, old_soft, tops[0])
    state[_WHOLE] = push(state[_WHOLE], value, old, tops[0])
    state[_TINY] = push(state[_TINY], value, tiny, tops[1])
    state[_RING + (count & 7)], state[_RING_SOFT + (count & 7)] = value, soft
    state[_RING_START + (count & 7)] = uint64(start)
    state[_NUMBER] = uint64(0) if number else state[_NUMBER] + uint64(1)
    state[_COUNT] = uint64(count + 1)
    keys[0] = mix(state[_SOFT]) if count + 1 >= GRAM else uint64(0)
    keys[1] = mix(state[_WHOLE]) ^ EXACT_SALT if count + 1 >= GRAM else uint64(0)
    keys[2] = mix(state[_TINY]) ^ EXACT_SALT if count + 1 >= SHORT_GRAM else uint64(0)
    return True


@njit(cache=True)
def _tops():
    tops = np.empty(2, np.uint64)
    tops[0], tops[1] = rolling_top(GRAM), rolling_top(SHORT_GRAM)
    return tops


@njit(cache=True)
def item_scores(
    buffer,
    begin,
    end,
    t,
    bitmap,
    short_bitmap,
    slot_key,
    slot_first,
    slot_count,
    item,
    share,
    seen,
    score,
    touched,
    stamp,
):
    """Weight of each item's n-grams in one document; items touched are listed, their number returned.

    ``seen`` (per posting) and ``stamp`` make sure that an n-gram counts once a document. The rolling
    state is in local variables, not in an array as in `collect_hits`: three times as fast.
    """
    top, tiny_top = rolling_top(GRAM), rolling_top(SHORT_GRAM)
    soft, whole, tiny, zero = uint64(0), uint64(0), uint64(0), uint64(0)
    a, b, c, d, e = zero, zero, zero, zero, zero  # the last five tokens, e the latest
    f, g, h, i, j = zero, zero, zero, zero, zero  # the same, numbers masked
    count, since_number, n_touched, at = 0, GRAM, 0, begin
    while True:
        at, value, number, _ = next_token(buffer, at, end, t)
        if value == 0:
            return n_touched
        masked = NUMBER_MASK if number else value
        soft, whole, tiny = (
            push(soft, masked, f, top),
            push(whole, value, a, top),
            push(tiny, value, c, tiny_top),
        )
        a, b, c, d, e = b, c, d, e, value
        f, g, h, i, j = g, h, i, j, masked
        since_number = 0 if number else since_number + 1
        count += 1
        if count >= GRAM:
            key = mix(soft)
            if _set(bitmap, key) != 0:
                n_touched = _count_key(
                    key, slot_key, slot_first, slot_count, item, share, seen, score, touched, n_touched, stamp
                )
            if since_number < GRAM:
                key = mix(whole) ^ EXACT_SALT
                if _set(bitmap, key) != 0:
                    n_touched = _count_key(
                        key,
                        slot_key,
                        slot_first,
                        slot_count,
                        item,
                        share,
                        seen,
                        score,
                        touched,
                        n_touched,
                        stamp,
                    )
        if count >= SHORT_GRAM:
            key = mix(tiny) ^ EXACT_SALT
            if _set(short_bitmap, key) != 0:
                n_touched = _count_key(
                    key, slot_key, slot_first, slot_count, item, share, seen, score, touched, n_touched, stamp
                )


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
def find_candidates(
    buffer, offsets, t, bitmap, short_bitmap, slot_key, slot_first, slot_count, item, share, seen, score,
    touched, stamp, least, out_document, out_item,
):  # fmt: skip
    """Documents of a batch with the items that have at least the least share in them.

    Returns the number of pairs and of documents read: it stops before a document whose items the output
    arrays might not hold. ``stamp`` grows by one a document.
    """
    used = 0
    for document in range(len(offsets) - 1):
        if used + len(score) > len(out_item):
            return used, document
        n_touched = item_scores(
            buffer, offsets[document], offsets[document + 1], t, bitmap, short_bitmap, slot_key, slot_first,
            slot_count, item, share, seen, score, touched, stamp + document,
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
    state[_AT], state[_NUMBER] = uint64(begin), uint64(GRAM)
    return state


@njit(cache=True)
def collect_hits(
    buffer, end, t, state, bitmap, short_bitmap, slot_key, slot_first, slot_count, item, position, share,
    exact, wanted, used, out_item, out_token, out_position, out_byte, out_share, out_exact,
):  # fmt: skip
    """Hits of wanted items, in document order, appended at ``used``; stops when the arrays are nearly full.

    Returns the number of hits in the arrays and whether the document was read to its end.
    """
    keys, tops = np.zeros(3, np.uint64), _tops()
    while _advance(buffer, end, t, state, tops, keys):
        for k in range(3):
            if keys[k] == 0 or (k == 1 and state[_NUMBER] >= GRAM):
                continue
            if _set(short_bitmap if k == 2 else bitmap, keys[k]) == 0:
                continue
            slot = _find(slot_key, keys[k])
            if slot < 0:
                continue
            first = np.int64(state[_COUNT]) - (SHORT_GRAM if k == 2 else GRAM)
            for p in range(slot_first[slot], slot_first[slot] + slot_count[slot]):
                if wanted[item[p]] == 0:
                    continue
                out_item[used], out_token[used], out_position[used] = item[p], first, position[p]
                out_byte[used] = np.int64(state[_RING_START + (first & 7)])
                out_share[used] = share[p]
                out_exact[used] = exact[p] == (keys[2] if k == 2 else keys[1])
                used += 1
        if used + 3 * 4096 > len(out_item):
            return used, False
    return used, True
