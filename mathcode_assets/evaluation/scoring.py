"""Scores of judged items: shares with intervals, with and without the items found in the training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, Benchmark
from mathcode_assets.evaluation.intervals import wilson
from mathcode_assets.records import VERIFIED

# A benchmark's file stem and the index of an item in it, as the contamination tables name it.
ItemKey = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedItem:
    """One item with what became of it.

    Attributes:
        benchmark: name of the task.
        question_index: of the item.
        completion: as generated; of a likelihood task the letter chosen.
        answer: taken from the completion; empty where none was found.
        gold: the reference answer.
        found_by: where in the completion the answer stood.
        verdict: verified (right), refuted or unverifiable.
        method: how the verdict came about.
        evidence: in words.
        is_contaminated: whether the item is in the training data.
    """

    benchmark: str
    question_index: int
    completion: str
    answer: str
    gold: str
    found_by: str
    verdict: str
    method: str
    evidence: str
    is_contaminated: bool = False

    @property
    def is_right(self) -> bool:
        """Only what is verified is right: an answer that cannot be decided is not."""
        return self.verdict == VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of some items are right. `score`, `low`, `high` in [0, 1]; None, 0, 1 where there are no items."""

    n: int
    n_right: int
    score: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkScore:
    """The result on one benchmark.

    Attributes:
        benchmark: name of the task.
        all: every item asked.
        clean: without the contaminated ones.
        contaminated: these alone.
        n_no_answer: items whose completion holds no answer.
        n_unverifiable: answers that could not be decided; counted as wrong.
        n_prompts_cut: prompts longer than the model's context, whose beginning it did not see; None: unknown.
        paper_score: percent, of `paper_model`; None where the paper has none.
        paper_model: whose.
    """

    benchmark: str
    all: Share
    clean: Share
    contaminated: Share
    n_no_answer: int
    n_unverifiable: int
    n_prompts_cut: int | None
    paper_score: float | None
    paper_model: str


def share(items: Iterable[JudgedItem]) -> Share:
    """The share of right items with Wilson's 95 % interval."""
    rights = [item.is_right for item in items]
    n, n_right = len(rights), sum(rights)
    low, high = wilson(n_right, n)
    return Share(n=n, n_right=n_right, score=n_right / n if n else None, low=low, high=high)


def score_benchmark(
    benchmark: str, items: Sequence[JudgedItem], *, paper_model: str, n_prompts_cut: int | None = None
) -> BenchmarkScore:
    """The score of one benchmark's items."""
    column = BENCHMARKS[benchmark].paper_column
    return BenchmarkScore(
        benchmark=benchmark,
        all=share(items),
        clean=share(item for item in items if not item.is_contaminated),
        contaminated=share(item for item in items if item.is_contaminated),
        n_no_answer=sum(not item.answer for item in items),
        n_unverifiable=Counter(item.verdict for item in items if item.answer)["unverifiable"],
        n_prompts_cut=n_prompts_cut,
        paper_score=paper.score(paper_model, column) if column else None,
        paper_model=paper_model,
    )


def is_contaminated(benchmark: Benchmark, question_index: int, contaminated: Collection[ItemKey]) -> bool:
    """Whether an item was found. The tables name a benchmark by its file, which two tasks may share."""
    return bool(benchmark.file) and (benchmark.file, question_index) in contaminated
