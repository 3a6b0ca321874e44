"""What is common in any mathematical question, whatever the benchmarks at hand.

Inverse document frequency over the items alone would call "what", "is" and "3" rare in a benchmark of ten
questions. So the information of a token is capped for the words every question is made of, small
numbers and single letters. Caps in nats, rounded from the frequencies in twelve public benchmarks
(11,677 questions): "the" 0.3, "what" 0.9, "find" 1.9, "equation" 3.2, a number below 13 1 to 2.5.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mathcode_assets.text.normalise import tokenise

_GRAMMAR = (1.5, """
    the a an of to in is are and or for with that be as by on at from it its this these those if what
    which how many much does do did has have had he she they his her their there each all than more was
    were will can not no you your we i so but into out up per any every other them him who when where
    then
""")  # fmt: skip
_MATHEMATICS = (3.0, """
    find compute evaluate simplify solve let value values number numbers following true false statement
    statements function write python given equation expression answer answers real integer integers
    positive such total sum product difference times points point line triangle square cost costs money
    day days people left first second between over after before calculate determine express area length
    digits digit prime factor greatest common least nearest show prove using return list string array
    same only also most less equal make makes get gets form problem question solution correct choose
    select below above figure graph side sides angle angles circle radius probability possible different
    smallest largest maximum minimum fraction decimal percent remainder divided multiple divisor
    divisors terms term sequence set roots root polynomial degree degrees x y z n
""")  # fmt: skip
_LETTER = 3.0
_NUMBERS = ((13, 2.5), (101, 4.5), (1000, 6.0))  # whole numbers below


@lru_cache(maxsize=1)
def _caps() -> dict[int, float]:
    caps: dict[int, float] = {}
    for below, cap in reversed(_NUMBERS):
        caps |= dict.fromkeys(tokenise(" ".join(map(str, range(below)))).hashes.tolist(), cap)
    for cap, words in (_MATHEMATICS, _GRAMMAR):
        caps |= dict.fromkeys(tokenise(words).hashes.tolist(), cap)
    return caps


def capped(information: np.ndarray, hashes: np.ndarray, numbers: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Information of tokens, at most what their commonness in any question allows."""
    caps = _caps()
    limit = np.array([caps.get(value, np.inf) for value in hashes.tolist()], np.float64)
    limit = np.where(~numbers & (widths == 1), np.minimum(limit, _LETTER), limit)
    return np.minimum(information, limit)
