"""Whether the text of a book is mathematics: ``tag_textbooks``.

The paper chose its PDFs by keywords in their titles; a folder of files needs a look inside. A text is
cut into windows of about a page. A window is mathematical if it uses several different words of a fixed
vocabulary often enough, or holds mathematical symbols. The score of a book is its share of such windows.

Emits `records.FILTER_ATTRIBUTES`: ``score`` that share, ``reason`` ``not_math``, no labels. The
vocabulary is English: books in other languages pass by their symbols only.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from mathcode_assets.records import DROPPED, FILTER_ATTRIBUTES, KEPT, batch_of

RULE = "textbook_math@1"
NOT_MATH = "not_math"

# Words of mathematics that manuals of software seldom use. Left out on purpose, because they do:
# function, field, group, module, kernel, class, set, series, sequence, exists, solution, distribution.
VOCABULARY = frozenset(
    re.findall(
        r"\w+",
        """
        theorem theorems lemma lemmas proof proofs corollary corollaries proposition propositions
        conjecture axiom axioms hypothesis hypotheses suppose hence denote denotes satisfies satisfying
        iff arbitrary nonzero mathematics mathematical arithmetic calculus algebra algebraic geometry
        geometric topology topological equation equations inequality inequalities quadratic cubic
        polynomial polynomials coefficient coefficients root roots matrix matrices determinant
        determinants eigenvalue eigenvalues eigenvector eigenvectors vector vectors scalar scalars
        subspace subspaces orthogonal norm norms linear linearly dimensional integral integrals
        integrand derivative derivatives differential differentiable differentiation convergence
        converge converges convergent divergent infinity infinite infinitely finite summation
        approximation logarithm logarithms logarithmic exponential trigonometric sine cosine sin cos tan
        arctan log exp sqrt integer integers rational irrational prime primes modulo congruence
        congruent divisor divisors divisible gcd factorization factorial quotient numerator denominator
        fraction fractions exponent exponents subgroup subgroups isomorphism isomorphic homomorphism
        abelian permutation permutations coset cosets bijection bijective injective surjective
        cardinality countable graph graphs vertex vertices combinatorial combinatorics binomial
        probability variance random triangle triangles hyperbola ellipse parabola perpendicular
        euclidean metric multiply multiplication multiplying subtract divide squared sum sums
        computation numerical formula formulas subset subsets discrete decimals prove proves deviation
        deviations probabilities bayesian
        """,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningConfig:
    """When a window is mathematical, and how many windows of a book must be.

    Measured on 26 books and papers of mathematics and computer algebra and on 95 manuals of other
    software: see the threshold's comment.
    """

    window_chars: int = 2000  # about a page
    # In prose of general subjects 3 words in 1,000 are of the vocabulary, in a CAS manual 20-60.
    min_word_share: float = 0.015
    min_distinct_words: int = 3  # "integer" alone is the trade of every manual; 2 in a text below half a page
    # Symbols (∑, ∈, ≤, Greek) as a share of the characters: 10 on a page; and not one or two by chance.
    min_symbol_share: float = 0.005
    min_symbols: int = 3
    # Our threshold. Lowest mathematics 0.41 (essays on a computer algebra system), highest other text
    # 0.23 but for a paper on CRC polynomials (0.67); the R FAQ has 0.17. Of 1,803 web pages on other
    # subjects 1.3 % pass, of 188 on school and college mathematics 85 %.
    min_window_share: float = 0.3


def math_share(text: str, config: ScreeningConfig | None = None) -> float:
    """The share of a text's windows that are mathematical, in [0, 1]."""
    config = config or ScreeningConfig()
    # A last window shorter than half is not counted: it has too few words to judge.
    last = max(1, len(text) - config.window_chars // 2)
    starts = range(0, last, config.window_chars)
    hits = sum(_is_math(text[start : start + config.window_chars], config) for start in starts)
    return hits / len(starts)


def tag_textbooks(
    documents: Iterable[pa.RecordBatch], config: ScreeningConfig | None = None
) -> Iterator[pa.RecordBatch]:
    """Attributes (`records.FILTER_ATTRIBUTES`) of documents (`records.DOCUMENT`), same rows, same order."""
    config = config or ScreeningConfig()
    for batch in documents:
        rows = []
        for doc_id, text in zip(batch.column("doc_id"), batch.column("text"), strict=True):
            score = math_share(text.as_py(), config)
            kept = score >= config.min_window_share
            rows.append(
                {
                    "doc_id": doc_id.as_py(),
                    "verdict": KEPT if kept else DROPPED,
                    "reason": "" if kept else NOT_MATH,
                    "score": score,
                    "model": RULE,
                    "labels": [],
                }
            )
        yield batch_of(rows, FILTER_ATTRIBUTES)


_WORD = re.compile(r"[^\W\d_]{3,}")


def _is_math(window: str, config: ScreeningConfig) -> bool:
    words = _WORD.findall(window.lower())
    hits = Counter(word for word in words if word in VOCABULARY)
    distinct = config.min_distinct_words if 2 * len(window) >= config.window_chars else 2
    if len(hits) >= distinct and hits.total() >= config.min_word_share * len(words):
        return True
    n_symbols = sum(map(_is_symbol, window))
    return n_symbols >= max(config.min_symbols, config.min_symbol_share * len(window))


def _is_symbol(char: str) -> bool:
    """A mathematical sign beyond ASCII (arrows excepted: manuals point with them) or a Greek letter."""
    if char < "\x80":
        return False
    if unicodedata.category(char) == "Sm":
        return not "←" <= char <= "⇿"
    return "Α" <= char <= "ω" or "ϐ" <= char <= "ϵ" or "\U0001d400" <= char <= "\U0001d7ff"
