"""Train a text classifier the way the paper does, and measure it on a held-out share.

The same examples, in any order, give the same bytes: examples are shuffled by hash, fastText runs on one
thread, and every stored number is rounded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import compress, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mathcode_assets.filtering.classifier import (
    MODEL_FILE,
    Classifier,
    combined_inputs,
    fasttext_scores,
    load,
    write_settings,
)
from mathcode_assets.filtering.features import FEATURE_NAMES
from mathcode_assets.filtering.hygiene import MAX_SCORED_CHARS
from mathcode_assets.filtering.linear_model import LinearModel, linear_model_of
from mathcode_assets.filtering.logistic import LogisticModel, fit_logistic
from mathcode_assets.filtering.report import Evaluation, TrainingReport, evaluate
from mathcode_assets.filtering.seed import TEST, TRAIN, Example, unit_hash
from mathcode_assets.filtering.training_files import (
    Record,
    ShuffledExamples,
    feature_matrix,
    shuffle_examples,
    write_fasttext_file,
)

# Taken for the positive label where none is named, in this order, whatever their case.
POSITIVE_LABELS = ("math", "positive", "1", "true", "yes", "related")

_PREDICT_BATCH = 256
_LOSS = "ova"  # the paper's; scores and the linear model rely on it


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """Settings of one training. The fastText ones are the paper's (repository, all three classifiers)."""

    name: str = "classifier"
    positive: str = ""
    """Label whose probability is the score; empty: the first of `POSITIVE_LABELS` that occurs, else the last
    label in alphabetical order."""
    lr: float = 0.5
    epoch: int = 5
    word_ngrams: int = 2
    bucket: int = 200_000
    dim: int = 50
    thread: int = 1  # two threads give other bytes each time
    min_example_passes: int = 20_000
    """Few examples are passed over more often, until fastText has seen this many: with 50 examples, 5 epochs
    leave every score near 0.5. From 4,000 examples on, the paper's 5 epochs stand."""
    max_epoch: int = 200
    threshold: float = 0.5  # written down in the paper; for fastText alone it equals "the top label decides"
    held_out_share: float = 0.1
    seed: int = 0
    max_chars: int = MAX_SCORED_CHARS
    letters_only: bool = False
    """Read lower-case words only (see `hygiene.clean_text`). The paper's models read the text as it is."""
    suspect_score: float = 1.0
    """Training negatives that models of the other folds score from here on are left out, in (0, 1]; 1 keeps
    all. For negatives that nobody labelled, where some are positives."""
    formula_features: bool = False
    """Join fastText with formula features by logistic regression. Needs two labels."""
    folds: int = 4
    """fastText scores its own training examples too well; the regression learns from scores that models of
    the other folds gave."""
    l2: float = 10.0
    """Penalty on the weights of the regression. Precision stayed above 0.99 with 3, 10 and 30; recall on
    held-out sources was 0.88, 0.87, 0.85, on 517 pages of other origins 0.98, 0.98, 0.97."""


def train(examples: Iterable[Example | tuple[str, str]], config: ClassifierConfig, model_dir: Path) -> TrainingReport:
    """Train on the examples and write ``model.bin``, ``classifier.json`` and ``report.json``.

    Args:
        examples: ``(text, label)``, or `Example` with a split of its own; any two or more labels. Streamed.
        config: settings.
        model_dir: created where missing; needs room for twice the examples while training.

    Raises:
        ValueError: fewer than two labels on the training side, a blank label, formula features with more than
            two labels, or a positive label that does not occur.
    """
    model_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=model_dir, prefix=".training-") as work:
        work_dir = Path(work)
        shuffled = shuffle_examples(
            (Example(*example) for example in examples),
            work_dir,
            held_out_share=config.held_out_share,
            seed=config.seed,
            max_chars=config.max_chars,
            letters_only=config.letters_only,
        )
        labels = tuple(shuffled.n_by_side[TRAIN])
        positive = _positive_label(labels, config)
        epoch = _effective_epoch(sum(shuffled.n_by_side[TRAIN].values()), config)
        trusted, combination = None, None
        if config.formula_features or config.suspect_score < 1:
            scores = _cross_fit(shuffled, work_dir, config, positive=positive, epoch=epoch)
            is_positive = np.array([record.label == positive for record in shuffled.records(TRAIN)])
            trusted = is_positive | (scores < config.suspect_score) | (config.suspect_score == 1)
            if config.formula_features:
                inputs = combined_inputs(scores, feature_matrix(shuffled.records(TRAIN)))
                combination = fit_logistic(inputs[trusted], is_positive[trusted], l2=config.l2)
        records = shuffled.records(TRAIN)
        chosen = records if trusted is None else compress(records, trusted)
        model = _train_fasttext(chosen, work_dir / "train", config, epoch=epoch)
        model.save_model(str(model_dir / MODEL_FILE))
        write_settings(
            model_dir,
            name=config.name,
            positive=positive,
            labels=labels,
            threshold=config.threshold,
            max_chars=config.max_chars,
            letters_only=config.letters_only,
            combination=combination,
        )
        classifier = load(model_dir)
        held_out, fasttext_alone = _evaluate_held_out(classifier, shuffled.records(TEST))
    report = TrainingReport(
        name=config.name,
        positive=positive,
        labels=labels,
        n_train=shuffled.n_by_side[TRAIN],
        n_held_out=shuffled.n_by_side[TEST],
        n_skipped_empty=shuffled.n_skipped_empty,
        n_suspect_negatives=0 if trusted is None else int((~trusted).sum()),
        effective_epoch=epoch,
        settings=asdict(config),
        data_fingerprint=shuffled.fingerprint,
        model_version=classifier.version,
        held_out=held_out,
        fasttext_alone=fasttext_alone,
        feature_weights=_named_weights(combination),
    )
    report.write(model_dir)
    return report


def evaluate_texts(classifier: Classifier, examples: Iterable[Example | tuple[str, str]]) -> Evaluation:
    """Metrics of a classifier on labelled examples, whatever their split; texts are not kept."""
    truth: list[str] = []
    predicted: list[str] = []
    scores: list[np.ndarray] = []
    stream = iter(examples)
    while batch := list(islice(stream, _PREDICT_BATCH)):
        predictions = classifier.predict([example[0] for example in batch])
        truth += [example[1] for example in batch]
        predicted += predictions.labels
        scores.append(predictions.scores)
    joined = np.concatenate(scores) if scores else np.zeros(0)
    return evaluate(truth=truth, predicted=predicted, scores=joined, positive=classifier.positive)


def _positive_label(labels: tuple[str, ...], config: ClassifierConfig) -> str:
    if len(labels) < 2:
        raise ValueError(f"a classifier needs two labels or more among its training examples, got {list(labels)}")
    if config.formula_features and len(labels) > 2:
        raise ValueError(f"formula features need exactly two labels, got {list(labels)}")
    if config.positive:
        if config.positive not in labels:
            raise ValueError(f"positive label {config.positive!r} is none of {list(labels)}")
        return config.positive
    by_lower = {label.strip().lower(): label for label in reversed(labels)}
    return next((by_lower[name] for name in POSITIVE_LABELS if name in by_lower), max(labels))


def _effective_epoch(n_examples: int, config: ClassifierConfig) -> int:
    wanted = math.ceil(config.min_example_passes / n_examples)
    return max(config.epoch, min(wanted, config.max_epoch))


def _train_fasttext(records: Iterable[Record], path: Path, config: ClassifierConfig, *, epoch: int) -> Any:
    import fasttext

    write_fasttext_file(records, path)
    try:
        return fasttext.train_supervised(
            str(path),
            lr=config.lr,
            epoch=epoch,
            wordNgrams=config.word_ngrams,
            bucket=config.bucket,
            dim=config.dim,
            loss=_LOSS,
            thread=config.thread,
            verbose=0,
        )
    finally:
        path.unlink()


def _cross_fit(
    shuffled: ShuffledExamples, work_dir: Path, config: ClassifierConfig, *, positive: str, epoch: int
) -> np.ndarray:
    """Scores of the training examples, each by a fastText model that was trained without its fold.

    Raises:
        ValueError: without one of the folds a label would have no example.
    """
    labels_of_folds = Counter((record.label, _fold(record, config)) for record in shuffled.records(TRAIN))
    for label, total in shuffled.n_by_side[TRAIN].items():
        if any(labels_of_folds[label, number] == total for number in range(config.folds)):
            raise ValueError(f"too few examples of {label!r} ({total}) to cross-fit in {config.folds} folds")
    folds = np.array([_fold(record, config) for record in shuffled.records(TRAIN)])
    scores = np.zeros(len(folds))
    for number in range(config.folds):
        others = compress(shuffled.records(TRAIN), folds != number)
        model = _train_fasttext(others, work_dir / "fold", config, epoch=epoch)
        mine = (record.line.encode() for record in compress(shuffled.records(TRAIN), folds == number))
        linear = linear_model_of(model)
        scores[folds == number] = np.concatenate([np.zeros(0), *_score_lines(linear, mine, positive)])
    return scores


def _fold(record: Record, config: ClassifierConfig) -> int:
    return int(unit_hash(f"fold\x1f{record.key}", seed=config.seed) * config.folds)


def _score_lines(model: LinearModel, lines: Iterable[bytes], positive: str) -> Iterator[np.ndarray]:
    stream = iter(lines)
    while batch := list(islice(stream, _PREDICT_BATCH)):
        yield fasttext_scores(model, batch, positive=positive)[0]


def _evaluate_held_out(classifier: Classifier, records: Iterator[Record]) -> tuple[Evaluation, Evaluation | None]:
    """Metrics of the classifier and, where features take part, of its fastText model alone."""
    truth: list[str] = []
    final, alone = _Predicted(), _Predicted()
    while batch := list(islice(records, _PREDICT_BATCH)):
        truth += [record.label for record in batch]
        features = np.array([record.features for record in batch])
        lines = [record.line.encode() for record in batch]
        for predicted, rows in ((final, features), (alone, None)):
            predictions = classifier.predict_lines(lines, rows)
            predicted.labels += predictions.labels
            predicted.scores.append(predictions.scores)
    measured = [
        evaluate(
            truth=truth,
            predicted=predicted.labels,
            scores=np.concatenate([np.zeros(0), *predicted.scores]),
            positive=classifier.positive,
        )
        for predicted in (final, alone)
    ]
    return measured[0], measured[1] if classifier.combination is not None else None


class _Predicted:
    def __init__(self) -> None:
        self.labels: list[str] = []
        self.scores: list[np.ndarray] = []


def _named_weights(combination: LogisticModel | None) -> dict[str, float] | None:
    if combination is None:
        return None
    return dict(zip(("fasttext", *FEATURE_NAMES), combination.weights, strict=True))
