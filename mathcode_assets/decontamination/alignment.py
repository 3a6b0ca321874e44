"""Where in a document an item lies: hits chained, then tokens aligned.

A chain is a run of n-gram hits that rises in both item and document, with gaps for what was put
between two halves of a question. The alignment of a chain is local with affine gaps: a gap in
the document costs little to extend, so a paragraph between two halves is crossed once and a
question scattered over many places is not.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Scores of the alignment, in matched tokens times two.
_MATCH, _OTHER_NUMBER, _OTHER_WORD = 2.0, 0.5, -1.5
_OPEN_DOCUMENT, _EXTEND_DOCUMENT = -4.0, -0.02  # 400 tokens of other text cost six matched tokens
_OPEN_ITEM, _EXTEND_ITEM = -3.0, -0.3
_MAX_OPEN_CHAINS = 16
MAX_CELLS = 8_000_000  # of the alignment matrix; one byte each


@njit(cache=True)
def chain_hits(token, position, byte, share, exact, gap, span):
    """Chains among the hits of one item, hits in document order.

    Returns an int64 array with first and last byte, first and last position of the item, and a
    float array with n-gram weight and exact n-gram weight, one row a chain.
    """
    n = len(token)
    places, weights = np.empty((n, 4), np.int64), np.zeros((n, 2))
    open_chains, n_open, n_chains = np.empty(_MAX_OPEN_CHAINS, np.int64), 0, 0
    last = np.empty((n, 3), np.int64)  # token, position of the last hit; token of the first
    for k in range(n):
        best, best_cost, kept = -1, np.int64(1 << 60), 0
        for c in range(n_open):
            chain = open_chains[c]
            if token[k] - last[chain, 0] > gap or token[k] - last[chain, 2] > span:
                continue
            open_chains[kept] = chain
            kept += 1
            if token[k] > last[chain, 0] and position[k] > last[chain, 1]:
                step = token[k] - last[chain, 0]
                cost = abs(step - (position[k] - last[chain, 1])) * 4 + step
                if cost < best_cost:
                    best, best_cost = chain, cost
        n_open = kept
        if best < 0:
            if n_open == _MAX_OPEN_CHAINS:  # the chain that was extended longest ago makes room
                oldest = 0
                for c in range(1, n_open):
                    if last[open_chains[c], 0] < last[open_chains[oldest], 0]:
                        oldest = c
                for c in range(oldest, n_open - 1):
                    open_chains[c] = open_chains[c + 1]
                n_open -= 1
            best = n_chains
            n_chains += 1
            open_chains[n_open] = best
            n_open += 1
            places[best, 0], places[best, 2], last[best, 2] = byte[k], position[k], token[k]
        places[best, 1], places[best, 3] = byte[k], position[k]
        last[best, 0], last[best, 1] = token[k], position[k]
        weights[best, 0] += share[k]
        if exact[k]:
            weights[best, 1] += share[k]
    return places[:n_chains], weights[:n_chains]


@njit(cache=True)
def align(item, item_number, document, document_number):
    """For each token of the item the token of the document it is put on, -1 where none.

    Local alignment with affine gaps (Gotoh). A token may be put on an equal one, on another number,
    or on another word; the caller compares the hashes.
    """
    m, n = len(item), len(document)
    best_here, best_gap_item = np.zeros(n + 1), np.full(n + 1, -1e9)
    on_token, without_gap = np.empty(n + 1), np.empty(n + 1)
    trace = np.empty((m + 1, n + 1), np.uint8)
    trace[0, :], trace[:, 0], without_gap[0] = 0, 0, 0.0
    top, top_i, top_j = 0.0, 0, 0
    for i in range(1, m + 1):
        own, own_number, row = item[i - 1], item_number[i - 1], trace[i]
        # states: 0 stop, 1 diagonal, 2 gap in the item row (document token skipped), 3 item token skipped
        for j in range(1, n + 1):
            opened, extended = best_here[j] + _OPEN_ITEM, best_gap_item[j] + _EXTEND_ITEM
            row[j] = np.uint8(8) if extended > opened else np.uint8(0)
            best_gap_item[j] = max(opened, extended)
            other = _OTHER_NUMBER if own_number and document_number[j - 1] else _OTHER_WORD
            on_token[j] = best_here[j - 1] + (_MATCH if own == document[j - 1] else other)
            without_gap[j] = max(max(on_token[j], best_gap_item[j]), 0.0)
        gap_document = -1e9
        for j in range(1, n + 1):
            # To open a gap after a gap never pays, so scores without one are enough: a short wait from cell to cell.
            opened, extended = without_gap[j - 1] + _OPEN_DOCUMENT, gap_document + _EXTEND_DOCUMENT
            mark = row[j] | (np.uint8(4) if extended > opened else np.uint8(0))
            gap_document = max(opened, extended)
            score, state = on_token[j], np.uint8(1)
            if gap_document > score:
                score, state = gap_document, np.uint8(2)
            if best_gap_item[j] > score:
                score, state = best_gap_item[j], np.uint8(3)
            if score <= 0.0:
                score, state = 0.0, np.uint8(0)
            best_here[j] = score
            row[j] = mark | state
            if score > top:
                top, top_i, top_j = score, i, j
    return _follow(trace, m, top_i, top_j)


@njit(cache=True)
def _follow(trace, m, i, j):
    """The path back from the best cell: document token of each item token."""
    placed = np.full(m, -1, np.int64)
    state = trace[i, j] & 3
    while i > 0 and j > 0 and state != 0:
        if state == 1:
            placed[i - 1] = j - 1
            i -= 1
            j -= 1
            state = trace[i, j] & 3
        elif state == 2:
            extended = trace[i, j] & 4
            j -= 1
            state = 2 if extended else trace[i, j] & 3
        else:
            extended = trace[i, j] & 8
            i -= 1
            state = 3 if extended else trace[i, j] & 3
    return placed
