from pathlib import Path

import fasttext
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mathcode_assets.filtering.classifier import fasttext_scores
from mathcode_assets.filtering.hygiene import clean_text
from mathcode_assets.filtering.linear_model import LinearModel, linear_model_of, load_linear_model
from mathcode_assets_tests.example_texts import mathematics, other

# fastText looks its sigmoid up in a table of 512 steps over [-8, 8].
TABLE_ERROR = 0.01
KNOWN = ("Let", "prove", "größe", "the", "market", "$3$", "equation", "unheard-of")


def _trained(folder: Path, **arguments: object) -> fasttext.FastText._FastText:
    path = folder / "train.txt"
    lines = [f"__label__math {clean_text(text)}" for text in mathematics(40)]
    lines += [f"__label__other {clean_text(text)}" for text in other(40)]
    lines += [f"__label__third größe naïve 数学 {number}" for number in range(40)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings_ = {"lr": 0.5, "epoch": 30, "dim": 10, "bucket": 500, "loss": "ova", "thread": 1, "verbose": 0}
    return fasttext.train_supervised(str(path), **(settings_ | arguments))


def _fasttext_probabilities(model: fasttext.FastText._FastText, linear: LinearModel, line: str) -> np.ndarray:
    (labels,), (probabilities,) = model.predict([line], k=-1)
    found = dict(zip(labels, probabilities, strict=True))
    return np.array([found[token] for token in linear.tokens])


@pytest.mark.parametrize("word_ngrams", [1, 2, 3, 5])
def test_probabilities_equal_those_of_fasttext(word_ngrams: int, tmp_path: Path) -> None:
    model = _trained(tmp_path, wordNgrams=word_ngrams)
    linear = linear_model_of(model)
    lines = [clean_text(text) for text in [*mathematics(60), *other(60)]]
    lines += [
        "",
        "unknown words only here",
        "größe 数学 naïve",
        "x",
        "the the the",
        "a\u00e9\u20ac\U0001d465 b",
    ]
    logits = linear.logits([line.encode() for line in lines])
    for row, line in zip(logits, lines, strict=True):
        expected = _fasttext_probabilities(model, linear, line)
        np.testing.assert_allclose(1 / (1 + np.exp(-row)), expected, atol=TABLE_ERROR)
        assert row.argmax() == expected.argmax() or np.ptp(np.sort(row)[-2:]) < 0.05


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[fasttext.FastText._FastText, LinearModel]:
    model = _trained(tmp_path_factory.mktemp("fasttext"), wordNgrams=2)
    return model, linear_model_of(model)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text() | st.lists(st.sampled_from(KNOWN)).map(" ".join))
def test_any_text_scores_as_in_fasttext(pair: tuple[fasttext.FastText._FastText, LinearModel], text: str) -> None:
    model, linear = pair
    line = clean_text(text)
    (row,) = linear.logits([line.encode()])
    expected = _fasttext_probabilities(model, linear, line)
    np.testing.assert_allclose(1 / (1 + np.exp(-row)), expected, atol=TABLE_ERROR)


def test_models_that_are_not_linear_in_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="subwords"):
        linear_model_of(_trained(tmp_path, minn=2, maxn=3))
    with pytest.raises(FileNotFoundError, match="absent"):
        load_linear_model(tmp_path / "absent.bin")


@pytest.mark.parametrize(("only", "expected"), [("math", 1.0), ("other", 0.0)])
def test_a_fold_of_one_label_scores_without_the_other(only: str, expected: float, tmp_path: Path) -> None:
    # Few examples in four folds: a model of the other three may never see one of the labels.
    path = tmp_path / "train.txt"
    path.write_text(f"__label__{only} let x be prime\n" * 5, encoding="utf-8")
    model = fasttext.train_supervised(str(path), dim=10, bucket=500, loss="ova", thread=1, verbose=0)
    scores, rivals = fasttext_scores(linear_model_of(model), [b"let x be prime", b"unknown"], positive="math")
    assert scores.tolist() == [expected, expected]
    assert rivals == ([""] * 2 if only == "math" else ["other"] * 2)
