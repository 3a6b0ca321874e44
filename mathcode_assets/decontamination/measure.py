"""An item put on a stretch of a document, and what there is to say about it in numbers: compiled.

Everything `verdict` decides on is counted here, because most alignments are of chance neighbours and
end after a look at two of the numbers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mathcode_assets.decontamination.alignment import align
from mathcode_assets.decontamination.reading import borrowed, read_token

_HOPELESS = 0.3  # of the weight; less is neither near nor worth joining with other parts
_INSERTED = 3  # tokens; a page number or a list label between two words is no border
_SHORT_GAP = 12  # tokens
LOOK_BACK = 4  # tokens
# Rows of the two results, in the order of `verdict.Aligned`.
COUNTS = (
    "n_equal", "first_byte", "last_byte", "changed", "extra", "lost", "numbers", "shared_words", "lead", "pieces",
    "is_template", "is_whole", "is_run",
)  # fmt: skip
SHARES = ("coverage", "template", "information", "words", "lead_information", "rest")


@njit(cache=True)
def measure(view, begin, end, limit, t, hashes, number, word, core, weight, equal, stops, counts, shares):
    """Align an item with the tokens of a byte range, and count.

    ``view`` is the document; the range is [begin, end), at most ``limit`` tokens of it. ``hashes``, ``number``,
    ``word`` (words outside figures), ``core`` and ``weight`` are of the item's tokens. Filled are ``equal``
    (which tokens of the item are there), ``stops`` (bytes after the last token of the lead, the one before
    it, and so on; -1 beyond), ``counts`` and ``shares`` (see `COUNTS` and `SHARES`). Returns whether
    anything worth a verdict was aligned.
    """
    view, t = borrowed(view), borrowed(t)
    values, numbers, starts, ends = _window(view, begin, end, limit, t)
    placed = align(hashes, number, values, numbers)
    m = len(hashes)
    total, in_template, first, last = 0.0, 0.0, -1, -1
    for k in range(m):
        total += weight[k]
        equal[k] = placed[k] >= 0 and values[placed[k]] == hashes[k]
        other = placed[k] >= 0 and not equal[k] and number[k] and numbers[placed[k]]
        if equal[k] or other:
            in_template += weight[k]
        if equal[k]:
            first, last = k if first < 0 else first, k
    total = max(total, 1e-9)
    if first < 0 or in_template / total < _HOPELESS:
        return False
    counts[:], shares[:] = 0, 0.0
    counts[1], counts[2] = starts[placed[first]], ends[placed[last]]
    shares[1] = min(1.0, in_template / total)
    _count_tokens(placed, numbers, number, word, weight, equal, last, counts, shares)
    shares[0] = min(1.0, shares[2] / total)
    counts[4] += _extra_numbers(view, placed, numbers, starts, ends)
    counts[7] = _distinct(hashes, word, equal)
    _lead(placed, numbers, number, weight, equal, ends, stops, counts, shares)
    _runs(placed, numbers, number, core, equal, counts)
    return True


@njit(cache=True)
def _window(view, begin, end, limit, t):
    """Tokens of a byte range: hashes, is_number, starts, stops."""
    room = max(0, min(limit, end - begin))
    values, numbers = np.empty(room, np.uint64), np.empty(room, np.bool_)
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    used, at = 0, begin
    while used < room:
        at, value, is_number, start = read_token(view, at, end, t)
        if value == 0:
            break
        values[used], numbers[used], starts[used], ends[used] = value, is_number, start, at
        used += 1
    return values[:used], numbers[:used], starts[:used], ends[:used]


@njit(cache=True)
def _count_tokens(placed, numbers, number, word, weight, equal, last, counts, shares):
    """Everything that is a sum over the item's tokens."""
    words, all_words, previous = 0.0, 0.0, -1
    counts[9] = 1
    for k in range(len(placed)):
        on = placed[k] >= 0
        other = on and not equal[k] and number[k] and numbers[placed[k]]
        # A question that begins with other numbers is another one; what follows its last words may be left out.
        inside = k <= last
        counts[0] += equal[k]
        counts[3] += other
        counts[4] += on and not equal[k] and not number[k] and numbers[placed[k]]
        counts[5] += inside and number[k] and not equal[k] and not other
        counts[6] += number[k] and (inside or other)
        if word[k]:
            all_words += weight[k]
            words += weight[k] if equal[k] else 0.0
        if equal[k]:
            shares[2] += weight[k]
            if previous >= 0 and placed[k] - placed[previous] - (k - previous) > _INSERTED:
                counts[9] += 1
            previous = k
    shares[3] = words / max(all_words, 1e-9)


@njit(cache=True)
def _extra_numbers(view, placed, numbers, starts, ends):
    """Numbers in the short gaps of an alignment; a long gap, or paragraphs of their own, are other text."""
    extra, previous = 0, -1
    for k in range(len(placed)):
        if placed[k] < 0:
            continue
        gap = placed[k] - previous
        if previous >= 0 and 1 < gap <= _SHORT_GAP and _blank_lines(view, ends[previous], starts[placed[k]]) < 2:
            for j in range(previous + 1, placed[k]):
                extra += numbers[j]
        previous = placed[k]
    return extra


@njit(cache=True)
def _blank_lines(view, at, end):
    count = 0
    while at + 1 < end:
        if view[at] == 10 and view[at + 1] == 10:
            count += 1
            at += 1
        at += 1
    return count


@njit(cache=True)
def _distinct(hashes, word, equal):
    """How many different words of the item are there."""
    found = np.sort(hashes[word & equal])
    count = 0
    for k in range(len(found)):
        count += k == 0 or found[k] != found[k - 1]
    return count


@njit(cache=True)
def _lead(placed, numbers, number, weight, equal, ends, stops, counts, shares):
    """Tokens from the beginning of the item that are there one after the other, and what follows them."""
    m, lead = len(placed), 0
    while lead < m and equal[lead] and (lead == 0 or placed[lead] - placed[lead - 1] == 1):
        shares[4] += weight[lead]
        lead += 1
    counts[8] = lead
    rest = 0
    for k in range(lead, m):
        rest += equal[k] or (placed[k] >= 0 and number[k] and numbers[placed[k]])
    shares[5] = rest / (m - lead) if lead < m else 0.0
    for k in range(len(stops)):
        stops[k] = ends[placed[lead - 1 - k]] if lead - 1 - k >= 0 else -1


@njit(cache=True)
def _runs(placed, numbers, number, core, equal, counts):
    """Whether every token outside figures is there, or another number in its place; and without a gap."""
    template, whole, run, previous = True, True, True, -1
    for k in range(len(placed)):
        if not core[k]:
            continue
        on = placed[k] >= 0
        whole &= equal[k]
        template &= equal[k] or (on and number[k] and numbers[placed[k]])
        run &= previous < 0 or placed[k] - placed[previous] == k - previous
        previous = k
    counts[10], counts[11], counts[12] = template and run, whole, whole and run
