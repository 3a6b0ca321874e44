"""From the hits of one item in a document to the alignments that a verdict may rest on: compiled.

Nine alignments of ten are of chance neighbours. They end here, after a look at their numbers, and cost no call.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mathcode_assets.decontamination.alignment import MAX_CELLS, chain_hits
from mathcode_assets.decontamination.config import GRAM, DecontaminationConfig
from mathcode_assets.decontamination.measure import measure
from mathcode_assets.decontamination.reading import borrowed

BYTES_PER_TOKEN = 20  # generous: LaTeX and Markdown dress included
_MAX_BLANK = 200  # bytes

# Rows of `limits_of`.
_SHORT_TOKENS, _CUT_INFORMATION, _NEAR_COVERAGE, _NEAR_INFORMATION, _NEAR_WORDS, _NEAR_SHARED, _UNION_TOKENS = range(7)


def limits_of(config: DecontaminationConfig) -> np.ndarray:
    """The thresholds that tell whether an alignment may matter."""
    return np.array(
        [
            config.short_tokens, config.cut_information, config.near_coverage, config.near_information,
            config.near_words, config.near_shared_words, config.union_tokens,
        ],
        np.float64,
    )  # fmt: skip


@njit(cache=True)
def strongest_places(token, position, byte, share, exact, gap, span, column, least, most):
    """The chains of an item's hits that are worth aligning, best first: rows of `chain_hits`' places.

    Best is by exact weight, then by weight, then by place. ``column`` is the weight that must reach ``least``;
    ``most`` is how many are given.
    """
    places, weights = chain_hits(token, position, byte, share, exact, gap, span)
    n_enough = 0
    for k in range(len(places)):
        n_enough += weights[k, column] >= least
    found = np.empty((min(n_enough, most), 4), np.int64)
    taken = np.zeros(len(places), np.bool_)
    for rank in range(len(found)):
        best = -1
        for k in range(len(places)):
            if taken[k] or not weights[k, column] >= least:
                continue
            if best < 0 or weights[k, 1] > weights[best, 1] or (
                weights[k, 1] == weights[best, 1] and weights[k, 0] > weights[best, 0]
            ):  # fmt: skip
                best = k
        taken[best] = True
        found[rank] = places[best]
    return found


@njit(cache=True)
def align_next(
    view, t, places, first, spans, n_spans, hashes, number, word, core, weight, limits, equal, stops, counts, shares
):
    """Align places from the one given on, until an alignment may matter.

    ``spans`` are bytes of the stretches aligned already, ``n_spans`` their number; what lies in one is not aligned
    again. Returns the place after the one aligned last, the number of spans, and whether it may matter; the numbers are
    in ``equal``, ``stops``, ``counts`` and ``shares`` (see `measure`).
    """
    length = len(hashes)
    for k in range(first, len(places)):
        first_byte, last_byte, lead, last = places[k, 0], places[k, 1], places[k, 2], places[k, 3]
        inside = False
        for s in range(n_spans):
            inside |= spans[s, 0] <= first_byte and last_byte < spans[s, 1]
        if inside:
            continue
        begin = _blank_before(view, max(0, first_byte - BYTES_PER_TOKEN * (lead + 8)))
        end = min(len(view), last_byte + BYTES_PER_TOKEN * (length - last + GRAM + 8))
        limit = max(MAX_CELLS // max(length, 1), 64)
        if measure(view, begin, end, limit, t, hashes, number, word, core, weight, equal, stops, counts, shares):
            spans[n_spans, 0], spans[n_spans, 1] = counts[1], counts[2]
            n_spans += 1
            if _may_matter(length, counts, shares, limits):
                return k + 1, n_spans, True
    return len(places), n_spans, False


@njit(cache=True)
def _blank_before(view, at):
    """The first blank at or after a byte, so that a window does not begin inside a word or character."""
    view = borrowed(view)
    for k in range(at, min(at + _MAX_BLANK, len(view))):
        if k == 0 or view[k] <= 32:
            return k
    return at


@njit(cache=True)
def _may_matter(length, counts, shares, limits):
    """Whether `verdict` may say anything but clean, or the alignment may be one of several parts of a question."""
    is_short = length < limits[_SHORT_TOKENS]
    is_part = counts[0] >= limits[_UNION_TOKENS] and counts[3] == 0 and counts[9] == 1
    if (not is_short and is_part) or (is_short and counts[12] != 0):
        return True
    if not is_short and shares[4] >= limits[_CUT_INFORMATION]:
        return True
    if shares[1] < limits[_NEAR_COVERAGE] or shares[2] < limits[_NEAR_INFORMATION]:
        return False
    alike = counts[7] >= limits[_NEAR_SHARED] and shares[3] >= limits[_NEAR_WORDS]
    return not is_short or alike or counts[10] != 0
