"""The paper's numbers, to be set beside ours. Percent of items right; arXiv 2410.08196.

SCORES: Table 2 (base models and MathCoder2, 4-shot, text only) and the table of general ability (Llama-3-8B).
ABLATION: the table on pairing (DeepSeekCoder-1.3B).
"""

from __future__ import annotations

from collections.abc import Mapping

SOURCE = "MathCoder2, arXiv 2410.08196"

_COLUMNS = ("math", "gsm8k", "sat_math", "ocw", "mmlu_math")


def _row(*values: float, **more: float) -> Mapping[str, float]:
    return dict(zip(_COLUMNS, values, strict=True)) | more


SCORES: Mapping[str, Mapping[str, float]] = {
    "Llama-3-8B": _row(21.4, 54.8, 56.3, 10.3, 42.8, hellaswag=79.2, piqa=81.0, winogrande=73.4),
    "MathCoder2-Llama-3-8B": _row(38.4, 69.9, 84.4, 18.0, 46.5, hellaswag=75.9, piqa=78.1, winogrande=71.7),
    "DeepSeekMath-7B": _row(36.2, 64.2, 84.4, 15.4, 47.4),
    "MathCoder2-DeepSeekMath-7B": _row(38.6, 68.8, 90.6, 16.9, 48.3),
    "Mistral-7B": _row(13.1, 52.2, 75.0, 8.5, 38.3),
    "MathCoder2-Mistral-7B": _row(36.7, 68.2, 81.3, 13.2, 42.2),
    "Code-Llama-7B": _row(6.7, 14.6, 25.0, 3.7, 26.4),
    "MathCoder2-Code-Llama-7B": _row(28.8, 52.3, 71.9, 8.5, 33.7),
}

# What stands beside a model the paper does not have.
DEFAULT_MODEL = "MathCoder2-Llama-3-8B"

# Composition of the data -> scores of DeepSeekCoder-1.3B.
ABLATION: Mapping[str, Mapping[str, float]] = {
    "basic+separated": _row(17.0, 22.0, 46.9, 4.8, 25.3),
    "basic+paired": _row(17.8, 25.5, 59.4, 5.9, 26.1),
}


def score(model: str, column: str) -> float | None:
    """The paper's number, or None where it has none.

    Raises:
        KeyError: the paper has no such model.
    """
    return SCORES[model].get(column)
