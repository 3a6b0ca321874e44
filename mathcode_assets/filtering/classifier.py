"""A trained classifier: a fastText model, alone or joined with formula features, and its scores.

Files of a model directory: ``model.bin`` (fastText), ``classifier.json`` (labels, threshold, weights: what
`load` needs beside it) and ``report.json`` (how good it is).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import numpy as np

from mathcode_assets.filtering.features import FEATURE_NAMES, formula_features
from mathcode_assets.filtering.hygiene import LABEL_PREFIX, words_of
from mathcode_assets.filtering.linear_model import LinearModel, load_linear_model
from mathcode_assets.filtering.logistic import LogisticModel, sigmoid

MODEL_FILE = "model.bin"
SETTINGS_FILE = "classifier.json"

# Sigmoids of fastText come from a table and reach 0 and 1 exactly; a logarithm needs them away from both.
_EDGE = 1e-4


class Predictions(NamedTuple):
    """One score and one label for each text, in order."""

    scores: np.ndarray
    """float32 in [0, 1]: probability of the positive label."""
    labels: list[str]
    """The positive label where the score reaches the threshold, else the best other label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A loaded model. Build it with `load`."""

    name: str
    version: str
    """First 12 hex digits of the sha256 of the model's files."""
    positive: str
    labels: tuple[str, ...]
    threshold: float
    max_chars: int
    letters_only: bool
    combination: LogisticModel | None
    _model: LinearModel

    @property
    def model_id(self) -> str:
        """``name@version``, as attributes tables record it."""
        return f"{self.name}@{self.version}"

    def score(self, texts: Sequence[str], *, features: np.ndarray | None = None) -> np.ndarray:
        """Probability of the positive label for each text, float32 in [0, 1]; 0 for a text without words.

        fastText alone: ``p / (p + q)``, p and q the one-vs-all probabilities of the positive label and of the
        best other one. So 0.5 and above means that the top label is the positive one, the paper's rule.
        With formula features: the logistic regression over the logit of that value and the features.

        Args:
            texts: any texts; more than ``max_chars`` characters are not read.
            features: `formula_features` of the texts, where the caller has them already.
        """
        return self.predict(texts, features=features).scores

    def predict(self, texts: Sequence[str], *, features: np.ndarray | None = None) -> Predictions:
        """Scores and labels of the texts, in order."""
        if self.combination is not None and features is None:
            features = formula_features(texts)
        lines = [words_of(text, self.max_chars, letters_only=self.letters_only) for text in texts]
        return self.predict_lines(lines, features)

    def predict_lines(self, lines: Sequence[bytes], features: np.ndarray | None) -> Predictions:
        """`predict` for the words of texts; without features, fastText alone decides."""
        scores, rivals = fasttext_scores(self._model, lines, positive=self.positive)
        if self.combination is not None and features is not None:
            scores = self.combination.probability(combined_inputs(scores, features))
        has_words = np.array([not line.isspace() and line != b"" for line in lines], dtype=bool)
        scores = np.where(has_words, scores, 0.0).astype(np.float32)
        labels = [
            self.positive if is_positive else rival
            for is_positive, rival in zip((scores >= self.threshold).tolist(), rivals, strict=True)
        ]
        return Predictions(scores, labels)


def load(model_dir: Path) -> Classifier:
    """The classifier that `training.train` wrote.

    Raises:
        FileNotFoundError: a file of the model is missing.
    """
    settings_bytes = (model_dir / SETTINGS_FILE).read_bytes()
    settings = json.loads(settings_bytes)
    combination = settings["combination"]
    return Classifier(
        name=settings["name"],
        version=model_version(model_dir),
        positive=settings["positive"],
        labels=tuple(settings["labels"]),
        threshold=settings["threshold"],
        max_chars=settings["max_chars"],
        letters_only=settings["letters_only"],
        combination=None if combination is None else _combination_from(combination),
        _model=load_linear_model(model_dir / MODEL_FILE),
    )


def write_settings(
    model_dir: Path,
    *,
    name: str,
    positive: str,
    labels: Sequence[str],
    threshold: float,
    max_chars: int,
    letters_only: bool,
    combination: LogisticModel | None,
) -> None:
    """Write ``classifier.json``; equal settings are equal bytes."""
    stored = None
    if combination is not None:
        stored = {
            "features": list(FEATURE_NAMES),
            "means": combination.means,
            "scales": combination.scales,
            "weights": combination.weights,
            "intercept": combination.intercept,
        }
    settings = {
        "name": name,
        "positive": positive,
        "labels": list(labels),
        "threshold": threshold,
        "max_chars": max_chars,
        "letters_only": letters_only,
        "combination": stored,
    }
    text = json.dumps(settings, sort_keys=True, indent=2, ensure_ascii=False)
    (model_dir / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")


def model_version(model_dir: Path) -> str:
    """First 12 hex digits of the sha256 over ``model.bin`` and ``classifier.json``."""
    digest = sha256()
    for name in (MODEL_FILE, SETTINGS_FILE):
        with (model_dir / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]


def fasttext_scores(model: LinearModel, lines: Sequence[bytes], *, positive: str) -> tuple[np.ndarray, list[str]]:
    """For the words of each text: the score of the positive label, and the name of the best other label."""
    # A fold of a few examples may hold one label only: the other has no chance then.
    wanted = encoded_label(positive)
    chances = sigmoid(model.logits(lines))
    ours = np.array([token == wanted for token in model.tokens], dtype=bool)
    chance = chances[:, ours].sum(axis=1)
    others = chances[:, ~ours]
    if not others.shape[1]:
        return np.where(chance > 0, 1.0, 0.0), [""] * len(chances)
    names = [decoded_label(token) for token in model.tokens if token != wanted]
    total = chance + others.max(axis=1)
    scores = np.divide(chance, total, out=np.zeros(len(total)), where=total > 0)
    return scores, [names[number] for number in others.argmax(axis=1).tolist()]


def combined_inputs(scores: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Columns of the logistic regression: the logit of the fastText score, then the features."""
    clipped = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.column_stack([np.log(clipped / (1 - clipped)), features.astype(np.float64)])


def encoded_label(label: str) -> str:
    """A label as fastText stores it: one token without white space, whatever the label holds."""
    return LABEL_PREFIX + quote(label, safe="")


def decoded_label(token: str) -> str:
    """The label that `encoded_label` made this token of."""
    return unquote(token.removeprefix(LABEL_PREFIX))


def _combination_from(stored: dict[str, Any]) -> LogisticModel:
    if tuple(stored["features"]) != FEATURE_NAMES:
        raise ValueError(f"the model knows other formula features than this version: {stored['features']}")
    return LogisticModel(
        means=tuple(stored["means"]),
        scales=tuple(stored["scales"]),
        weights=tuple(stored["weights"]),
        intercept=stored["intercept"],
    )
