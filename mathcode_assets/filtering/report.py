"""How good a classifier is on examples it did not learn from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

REPORT_FILE = "report.json"
SWEEP_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """Quality of one label. Shares in [0, 1]; None where there is nothing to divide by."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPoint:
    """Quality of the positive label if it is given from this score upward."""

    threshold: float
    precision: float | None
    recall: float | None
    kept_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics of each label and of each threshold on one set of examples."""

    n_examples: int
    classes: dict[str, ClassMetrics]
    sweep: tuple[ThresholdPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """What was trained, on what, and how well it does on the held-out share."""

    name: str
    positive: str
    labels: tuple[str, ...]
    n_train: dict[str, int]
    n_held_out: dict[str, int]
    n_skipped_empty: int
    n_suspect_negatives: int
    """Training examples left out because they look like mislabelled positives."""
    effective_epoch: int
    settings: dict[str, Any]
    data_fingerprint: str
    model_version: str
    held_out: Evaluation
    fasttext_alone: Evaluation | None
    feature_weights: dict[str, float] | None

    def write(self, model_dir: Path) -> None:
        """Write ``report.json``: canonical, so equal reports are equal bytes."""
        content = json.dumps(asdict(self), sort_keys=True, indent=2, ensure_ascii=False)
        (model_dir / REPORT_FILE).write_text(content + "\n", encoding="utf-8")


def evaluate(*, truth: Sequence[str], predicted: Sequence[str], scores: np.ndarray, positive: str) -> Evaluation:
    """Precision, recall and F1 of each label, and of the positive one at each threshold of the sweep."""
    labels = sorted(set(truth) | set(predicted))
    is_positive = np.array([label == positive for label in truth], dtype=bool)
    classes = {
        label: _metrics(
            np.array([one == label for one in truth], dtype=bool),
            np.array([one == label for one in predicted], dtype=bool),
        )
        for label in labels
    }
    sweep = tuple(_point(threshold, is_positive, scores >= threshold) for threshold in SWEEP_THRESHOLDS)
    return Evaluation(n_examples=len(truth), classes=classes, sweep=sweep)


def _point(threshold: float, truth: np.ndarray, chosen: np.ndarray) -> ThresholdPoint:
    metrics = _metrics(truth, chosen)
    kept = _share(int(chosen.sum()), len(chosen)) or 0.0
    return ThresholdPoint(threshold=threshold, precision=metrics.precision, recall=metrics.recall, kept_share=kept)


def _metrics(truth: np.ndarray, chosen: np.ndarray) -> ClassMetrics:
    hits, n_chosen, n_true = int((truth & chosen).sum()), int(chosen.sum()), int(truth.sum())
    f1 = _share(2 * hits, n_chosen + n_true)
    return ClassMetrics(precision=_share(hits, n_chosen), recall=_share(hits, n_true), f1=f1, support=n_true)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, _DIGITS) if whole else None
