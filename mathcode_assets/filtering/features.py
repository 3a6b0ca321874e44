"""Formula features: how much of a text is formulas, the words of mathematics, or code.

fastText learns the words of its training sources, so pages of other origin, and pages whose LaTeX was
stripped, are where it fails. These counts hold across sources.
Every feature is ``log1p(100 * count / words)``, except where `FEATURE_NAMES` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mathcode_assets.filtering.formula_scan import CODE_LINES, LETTERS, LINES, RUNS, WORDS, count_signs

# Counted per word of the text, except: word_length is letters per word.
FEATURE_NAMES = (
    "latex_commands",  # \alpha, \frac
    "dollar_signs",
    "display_formulas",  # $$, \[, \(, \begin{
    "relations",  # a lone =, <, >, or a relation sign of Unicode
    "arithmetic",  # + - * / between digits or brackets
    "math_symbols",  # ∑ ∈ ≤ × ± →, and mathematical alphanumerics
    "greek_letters",
    "single_letters",  # a letter standing alone (not a, I)
    "digits",
    "scripts",  # x^2, a_n, a_{ij}
    "mathematical_words",  # function, sum, sample: common in mathematics, not only there
    "strictly_mathematical_words",  # theorem, polynomial, denominator
    "programming_words",
    "code_marks",  # (), ==, ->, ::, &&, snake_case, .call(
    "code_lines",  # lines that end in ; { } or begin like code; counted per line
    "word_length",
)
N_FEATURES = len(FEATURE_NAMES)

# Enough for a stable density; a page of the web has 2,000 to 10,000 characters.
MAX_FEATURE_CHARS = 20_000


def formula_features(texts: Sequence[str]) -> np.ndarray:
    """One row of `FEATURE_NAMES` for each text: float32, finite, >= 0, about 0 to 7."""
    counts = count_signs([text[:MAX_FEATURE_CHARS].encode() for text in texts]).astype(np.float64)
    features = np.log1p(100 * counts[:, :N_FEATURES] / np.maximum(counts[:, [WORDS]], 1))
    features[:, CODE_LINES] = np.log1p(100 * counts[:, CODE_LINES] / np.maximum(counts[:, LINES], 1))
    features[:, LETTERS] = counts[:, LETTERS] / np.maximum(counts[:, RUNS], 1)
    return features.astype(np.float32)


def densities(features: np.ndarray, *names: str) -> np.ndarray:
    """Counts per 100 words (code_lines: percent of lines) of the named features, summed, one for each row."""
    columns = [FEATURE_NAMES.index(name) for name in names]
    return np.expm1(features[:, columns].astype(np.float64)).sum(axis=1)


def formula_density(features: np.ndarray) -> np.ndarray:
    """Formula signs per 100 words, less the marks of code: programs hold relations and arithmetic too."""
    signs = densities(features, "latex_commands", "relations", "arithmetic", "math_symbols", "scripts")
    return signs - densities(features, "code_marks")
