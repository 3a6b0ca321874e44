import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mathcode_assets.filtering.classifier import load
from mathcode_assets.filtering.seed import Example
from mathcode_assets.filtering.training import ClassifierConfig, evaluate_texts, train
from mathcode_assets_tests.example_texts import mathematics, other

SMALL = ClassifierConfig(name="small", bucket=2_000, dim=10, min_example_passes=2_000, held_out_share=0.2)
PAIRS = [(text, "math") for text in mathematics(60)] + [(text, "other") for text in other(60)]
FILES = ("model.bin", "classifier.json", "report.json")


def test_a_classifier_separates_pages_it_has_not_seen(tmp_path: Path) -> None:
    report = train(PAIRS, SMALL, tmp_path)
    assert report.positive == "math"
    assert report.n_train["math"] + report.n_held_out["math"] == 60
    assert report.held_out.classes["math"].f1 == 1.0
    classifier = load(tmp_path)
    scores = classifier.score([*mathematics(70)[60:], *other(70)[60:]])
    assert (scores[:10] > 0.5).all() and (scores[10:] < 0.5).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, formula_features=True, letters_only=True)])
def test_the_same_examples_in_any_order_give_the_same_bytes(config: ClassifierConfig, tmp_path: Path) -> None:
    train(PAIRS, config, tmp_path / "one")
    train(iter(reversed(PAIRS)), config, tmp_path / "two")
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_fasttext_tokens_inside_a_text_train_no_label_and_end_no_text(tmp_path: Path) -> None:
    spoiled = [(f"__label__stolen </s> {text} __label__other", label) for text, label in PAIRS]
    train(spoiled, SMALL, tmp_path)
    classifier = load(tmp_path)
    assert classifier.labels == ("math", "other")
    page = mathematics(61)[60]
    assert classifier.predict([f"</s> {page}", f"</s>\x00{page}"]).labels == ["math", "math"]


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (("Math", "other"), "Math"),
        (("0", "1"), "1"),
        (("no", "yes"), "yes"),
        (("blue whale", "été\t\n"), "été\t\n"),
        (("__label__a", "b</s>"), "b</s>"),
    ],
)
def test_any_two_labels_come_back_as_they_were(labels: tuple[str, str], positive: str, tmp_path: Path) -> None:
    pairs = [(text, labels[0]) for text in mathematics(20)] + [(text, labels[1]) for text in other(20)]
    report = train(pairs, SMALL, tmp_path)
    assert report.positive == positive
    assert load(tmp_path).predict([mathematics(1)[0], other(1)[0]]).labels == list(labels)


def test_three_labels_and_a_chosen_positive(tmp_path: Path) -> None:
    code = [(f"def function_{n}(x): return x + {n}", "code") for n in range(60)]
    train([*PAIRS, *code], replace(SMALL, positive="code"), tmp_path)
    classifier = load(tmp_path)
    predictions = classifier.predict([code[0][0], mathematics(1)[0], other(1)[0]])
    assert predictions.labels == ["code", "math", "other"]
    assert predictions.scores[0] > 0.5 > max(predictions.scores[1:])


def test_given_splits_are_respected(tmp_path: Path) -> None:
    examples = [Example(text, label, "train" if row % 2 else "test") for row, (text, label) in enumerate(PAIRS)]
    report = train(examples, SMALL, tmp_path)
    assert report.n_train == report.n_held_out == {"math": 30, "other": 30}


def test_copies_of_a_text_stay_on_one_side(tmp_path: Path) -> None:
    report = train([pair for pair in PAIRS for _ in range(5)], SMALL, tmp_path)
    assert all(count % 5 == 0 for count in report.n_held_out.values())


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("a b", "math")], "two labels or more"),
        ([], "two labels or more"),
        ([("a b", " "), ("c d", "x")], "blank label"),
        ([("", "math"), ("\x00\n", "other"), ("x", "math")], "two labels or more"),
    ],
)
def test_examples_that_cannot_train_are_named(pairs: list, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        train(pairs, replace(SMALL, held_out_share=0.0), tmp_path)
    assert not list(tmp_path.iterdir())


def test_texts_without_words_score_zero_and_huge_texts_are_read_at_their_start(tmp_path: Path) -> None:
    train(PAIRS, replace(SMALL, formula_features=True), tmp_path)
    classifier = load(tmp_path)
    page = mathematics(1)[0]
    scores = classifier.score(["", "\x00 \n\u200b", page * 200_000, page * 1_000])
    assert scores[0] == scores[1] == 0
    assert scores[2] == pytest.approx(scores[3], abs=1e-6) and scores[2] > 0.5
    assert classifier.score([]).shape == (0,)


def test_a_score_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    train(PAIRS, replace(SMALL, formula_features=True), tmp_path)
    classifier = load(tmp_path)
    texts = [*mathematics(9), *other(9)]
    alone = np.concatenate([classifier.score([text]) for text in texts])
    np.testing.assert_array_equal(alone, classifier.score(texts))


def test_formula_features_find_mathematics_in_words_never_seen(tmp_path: Path) -> None:
    train(PAIRS, replace(SMALL, formula_features=True), tmp_path)
    foreign = "Soit $g(y) = y^3 - 1$, donc $g'(y) = 3y^2 \\geq 0$ et $\\lim_{y \\to 0} g(y) = -1$."
    prose = "Hier le marché du village était plein de monde et il faisait très beau dehors toute la journée."
    assert load(tmp_path).predict([foreign, prose]).labels == ["math", "other"]


def test_negatives_that_look_like_positives_are_left_out(tmp_path: Path) -> None:
    """A random sample of the web as negatives holds mathematics, which would teach the opposite."""
    hidden = [(text, "other") for text in mathematics(75)[60:]]
    report = train([*PAIRS, *hidden], replace(SMALL, suspect_score=0.2, held_out_share=0.0), tmp_path)
    assert 12 <= report.n_suspect_negatives <= 16
    assert load(tmp_path).predict([hidden[0][0]]).labels == ["math"]


def test_the_report_holds_what_is_needed_to_choose_a_threshold(tmp_path: Path) -> None:
    train(PAIRS, replace(SMALL, formula_features=True), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert set(report["held_out"]["classes"]["math"]) == {"precision", "recall", "f1", "support"}
    recalls = [point["recall"] for point in report["held_out"]["sweep"]]
    assert recalls == sorted(recalls, reverse=True)
    assert report["settings"]["word_ngrams"] == 2
    assert len(report["data_fingerprint"]) == 64
    assert report["model_version"] == load(tmp_path).version
    assert "fasttext" in report["feature_weights"]


def test_evaluation_counts_every_example(tmp_path: Path) -> None:
    train(PAIRS, SMALL, tmp_path)
    evaluation = evaluate_texts(load(tmp_path), iter(PAIRS))
    assert evaluation.n_examples == len(PAIRS)
    assert evaluation.classes["math"].support == 60


def test_a_missing_model_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        load(tmp_path)
