"""Repeated paragraphs, as converters produce when they lose their place (MathCoder2 §2.1).

The paper drops near-equal neighbouring paragraphs (word Jaccard above 0.95) and periodic repetition.
Both are one rule here: a run of ``p`` paragraphs that is followed by itself, paragraph by paragraph near
equal, is kept once. The scan goes on behind a repetition; the reference stops at its first one and
loses the rest of the book (102 paragraphs become 11).
"""

from __future__ import annotations

NEAR_EQUAL = 0.95  # MathCoder2 §2.1: word Jaccard above this
MAX_PERIOD = 8  # paragraphs; longer loops have not been seen

# Short paragraphs repeat for good reasons: rows of a table, "True", "Proof.", sin(x) + cos(x) and
# cos(x) + sin(x). Below so many words only equal text counts, and only in longer runs.
_MIN_WORDS = 8
_MIN_EQUAL_SHORT_RUN = 4


def drop_repetitions(paragraphs: list[str]) -> list[str]:
    """The paragraphs in order, each run that repeats itself kept once."""
    words = [frozenset(paragraph.split()) for paragraph in paragraphs]
    kept: list[str] = []
    at = 0
    while at < len(paragraphs):
        period, copies = _repetition(paragraphs, words, at)
        kept.extend(paragraphs[at : at + period])
        at += period * copies
    return kept


def _repetition(paragraphs: list[str], words: list[frozenset[str]], at: int) -> tuple[int, int]:
    """Length of the run that starts here and how often it stands here in a row; (1, 1) if once."""
    for period in range(1, min(MAX_PERIOD, (len(paragraphs) - at) // 2) + 1):
        copies = 1
        while _same_run(paragraphs, words, at, at + copies * period, period):
            copies += 1
        n_words = sum(len(words[at + step]) for step in range(period))
        enough = 2 if n_words >= _MIN_WORDS * period else _MIN_EQUAL_SHORT_RUN
        if copies >= enough:
            return period, copies
    return 1, 1


def _same_run(paragraphs: list[str], words: list[frozenset[str]], first: int, second: int, period: int) -> bool:
    if second + period > len(paragraphs):
        return False
    return all(_near_equal(paragraphs, words, first + step, second + step) for step in range(period))


def _near_equal(paragraphs: list[str], words: list[frozenset[str]], first: int, second: int) -> bool:
    one, other = words[first], words[second]
    if paragraphs[first] == paragraphs[second]:
        return True
    smaller, larger = sorted((len(one), len(other)))
    if smaller < _MIN_WORDS or smaller <= NEAR_EQUAL * larger:  # the sizes alone forbid it
        return False
    return len(one & other) > NEAR_EQUAL * len(one | other)
