"""Scores of judged items: shares with intervals, with and without the items found in the training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.benchmarks import PERPLEXITY, file_of, paper_column_of
from mathcode_assets.evaluation.held_out import HeldOutLoss
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
        perplexity: of held-out text, per token; None for a benchmark of items.
        bits_per_byte: the same loss in bits for a byte of UTF-8.
        bits_per_byte_error: its standard error over documents.
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
    perplexity: float | None = None
    bits_per_byte: float | None = None
    bits_per_byte_error: float | None = None


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
    column = paper_column_of(benchmark)
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


def score_held_out(loss: HeldOutLoss, *, paper_model: str) -> BenchmarkScore:
    """The loss on held-out text as a score: documents are counted, none of them is right or wrong."""
    counted = Share(n=len(loss.documents), n_right=0, score=None, low=0.0, high=1.0)
    return BenchmarkScore(
        benchmark=PERPLEXITY,
        all=counted,
        clean=counted,
        contaminated=share([]),
        n_no_answer=0,
        n_unverifiable=0,
        n_prompts_cut=None,
        paper_score=None,
        paper_model=paper_model,
        perplexity=loss.perplexity,
        bits_per_byte=loss.bits_per_byte,
        bits_per_byte_error=loss.bits_per_byte_error,
    )


def is_contaminated(task: str, question_index: int, contaminated: Collection[ItemKey]) -> bool:
    """Whether an item was found. The tables name a benchmark by its file, which two tasks may share."""
    return bool(file_of(task)) and (file_of(task), question_index) in contaminated


def marked(items: Iterable[JudgedItem], contaminated: Collection[ItemKey]) -> list[JudgedItem]:
    """The items, each saying whether it is among the contaminated ones."""
    return [
        replace(item, is_contaminated=is_contaminated(item.benchmark, item.question_index, contaminated))
        for item in items
    ]


def rescored(
    scores: Iterable[Mapping[str, Any]], items: Sequence[JudgedItem], *, paper_model: str
) -> list[dict[str, Any]]:
    """The scores of a result counted again over its items, for other marks than they had when they were judged.

    Args:
        scores: of result.json.
        items: all of its items.jsonl, marked.
        paper_model: whose numbers stand beside.
    """
    by_task: dict[str, list[JudgedItem]] = {}
    for item in items:
        by_task.setdefault(item.benchmark, []).append(item)
    found = []
    for score in scores:
        task = score["benchmark"]
        if task == PERPLEXITY:
            found.append({**score, "paper_model": paper_model})
            continue
        again = score_benchmark(
            task, by_task.get(task, []), paper_model=paper_model, n_prompts_cut=score["n_prompts_cut"]
        )
        found.append(asdict(again))
    return found
