"""Best-fit-decreasing: pieces of documents into sequences of one length (arXiv 2404.10830).

The longest piece first, each into the sequence that it leaves fullest; a new sequence only where it fits
none. Sequences are found by what they have left, so a piece costs a look at a bitmap of the length.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def best_fit_decreasing(lengths: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """The sequence of each piece, int32 in the order given, and how many sequences there are.

    Equal lengths keep their order, so the same pieces in the same order give the same sequences.

    Args:
        lengths: tokens of each piece, in [1, length].
        length: tokens of a sequence.

    Raises:
        ValueError: a piece is empty or longer than a sequence.
    """
    if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= length):
        raise ValueError(f"a piece is not in [1, {length}]")
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    placed, n_sequences = _place(lengths[order].astype(np.int64), length)
    sequence_of = np.empty(len(lengths), np.int32)
    sequence_of[order] = placed
    return sequence_of, int(n_sequences)


@njit(cache=True)
def _place(lengths, length):
    """Lengths descending; a list of the sequences for each number of free tokens, and a bitmap of the lists in use."""
    n_pieces = len(lengths)
    placed = np.empty(n_pieces, np.int32)
    head = np.full(length + 1, -1, np.int64)
    following = np.full(n_pieces, -1, np.int64)
    used = np.zeros(length // 64 + 1, np.uint64)
    n_sequences = 0
    for k in range(n_pieces):
        size = lengths[k]
        free = _next_used(used, size, length)
        if free < 0:
            sequence, free = n_sequences, length
            n_sequences += 1
        else:
            sequence = head[free]
            head[free] = following[sequence]
            if head[free] < 0:
                used[free >> 6] &= ~(np.uint64(1) << np.uint64(free & 63))
        placed[k] = sequence
        left = free - size
        if left > 0:
            following[sequence] = head[left]
            head[left] = sequence
            used[left >> 6] |= np.uint64(1) << np.uint64(left & 63)
    return placed, n_sequences


@njit(cache=True)
def _next_used(used, at, length):
    """Smallest number of free tokens, `at` or more, that some sequence has; -1 where none."""
    word = at >> 6
    bits = used[word] >> np.uint64(at & 63)
    if bits:
        while not bits & np.uint64(1):
            bits >>= np.uint64(1)
            at += 1
        return at
    word += 1
    while word < len(used):
        bits = used[word]
        if bits:
            at = word << 6
            while not bits & np.uint64(1):
                bits >>= np.uint64(1)
                at += 1
            return at
        word += 1
    return -1
