import numpy as np
import pytest

from mathcode_assets.filtering.logistic import fit_logistic


def test_the_weights_find_the_column_that_decides() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(500, 3))
    is_positive = inputs[:, 1] + 0.3 * random.normal(size=500) > 0.2
    model = fit_logistic(inputs, is_positive, l2=1.0)
    assert model.weights[1] > 5 * max(abs(model.weights[0]), abs(model.weights[2]))
    assert ((model.probability(inputs) > 0.5) == is_positive).mean() > 0.9


def test_separable_and_constant_columns_give_finite_weights() -> None:
    inputs = np.column_stack([np.arange(20.0) * 1e6, np.ones(20)])
    model = fit_logistic(inputs, np.arange(20) >= 10, l2=1e-3)
    assert np.isfinite(model.weights).all()
    assert ((model.probability(inputs) > 0.5) == (np.arange(20) >= 10)).all()


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        fit_logistic(np.zeros((3, 1)), np.ones(3, dtype=bool), l2=1.0)
