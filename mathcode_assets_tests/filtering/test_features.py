import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.filtering.features import FEATURE_NAMES, densities, formula_density, formula_features


def _counts(text: str) -> dict[str, int]:
    """Counts of one text, back from densities."""
    features, n_words = formula_features([text]), max(1, len(text.split()))
    return {name: round(densities(features, name)[0] * n_words / 100) for name in FEATURE_NAMES[:14]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            r"Let $\alpha = 2$ and \begin{align} x",
            {"latex_commands": 2, "dollar_signs": 2, "display_formulas": 1},
        ),
        (r"$$ x $$ and \[ y \] and \begin{align}", {"display_formulas": 4}),
        ("so x < 3 and y = 4 but a == b", {"relations": 2, "single_letters": 3, "code_marks": 1}),
        ("3 + 4 = 7 on 2020-11-21, 1/2", {"arithmetic": 3, "digits": 13}),
        ("∀x ∈ ℝ: x ≤ π", {"math_symbols": 4, "greek_letters": 1, "relations": 1}),
        ("x^2 + a_{ij} but snake_case", {"scripts": 2, "code_marks": 1}),
        ("The theorem on polynomials", {"strictly_mathematical_words": 2, "single_letters": 0}),
        ("call() and self.run(x) and it's Mr. A. Smith", {"code_marks": 2, "single_letters": 1}),
        ("THEOREM theorem theorems’", {"strictly_mathematical_words": 3}),
    ],
)
def test_signs_are_counted_as_a_reader_counts_them(text: str, expected: dict[str, int]) -> None:
    counts = _counts(text)
    assert {name: counts[name] for name in expected} == expected


def test_code_lines_are_a_share_of_the_lines() -> None:
    program = "Prose here.\n\n```python\nx = 1\n```\nMore prose.\nint main() {\n  return 0;\n}\n"
    share = densities(formula_features([program]), "code_lines")[0]
    assert share == pytest.approx(100 * 6 / 8, rel=1e-3)
    latex = "\\begin{proof}\nLet $x$ be a number; then $y$;\n\\end{proof}\n"
    assert densities(formula_features([latex]), "code_lines")[0] == 0


def test_programs_are_not_formulas() -> None:
    texts = ["We get $x^2 = 4$, so $x = 2$ or $x = -2$.", "if a == b && c != d: self.call(x) -> foo_bar()"]
    mathematics, program = formula_density(formula_features(texts))
    assert mathematics > 10 > 0 > program


@given(st.lists(st.text()))
def test_a_text_counts_the_same_alone_and_among_others(texts: list[str]) -> None:
    together = formula_features(texts)
    assert together.shape == (len(texts), len(FEATURE_NAMES))
    assert np.isfinite(together).all() and (together >= 0).all()
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together[row], formula_features([text])[0])
