"""The paper's own rule, for comparison: exact match, or 13-gram Jaccard above 0.6 (MathCoder2 §2.1).

The published code's errors are mended here, the rule is not:

- the substring test was the wrong way round (a document "the" counted as contained in a question):
  here the question is looked for in the document, on word borders;
- a document of fewer than 13 words ended the search for all questions after it (empty union): here
  it has no n-grams, so its Jaccard is 0, and the search goes on;
- a question of fewer than 13 words could never match: here the exact test still finds it;
- each GSM8K row began with an instruction: `index.build_index` removes it;
- every document was compared with every question: here n-grams lead to the questions that have them.

What cannot be mended: Jaccard compares the whole document with the question, so a question whose
wording differs by one blank in a page of 300 words scores below 0.2 and is missed. Words are
what white space separates, as in the paper.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.records import CLEAN, CONTAMINATED, CONTAMINATION_ATTRIBUTES, batch_of

N = 13  # MathCoder2 §2.1
JACCARD = 0.6  # MathCoder2 §2.1, "above"
_HEAD = 4  # words that lead to the questions beginning with them
_EVIDENCE_CHARACTERS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRule:
    """Questions by their words, heads and 13-grams."""

    names: list[tuple[str, int]]
    words: list[tuple[str, ...]]
    by_head: dict[tuple[str, ...], list[int]]
    by_gram: dict[tuple[str, ...], list[int]]


def prepare(index: BenchmarkIndex) -> PaperRule:
    """The questions of an index as the rule wants them."""
    names = list(zip(index.items["benchmark"].to_pylist(), index.items["question_index"].to_pylist(), strict=True))
    words = [tuple(question.split()) for question in index.items["question"].to_pylist()]
    by_head, by_gram = defaultdict(list), defaultdict(list)
    for item, own in enumerate(words):
        if own:
            by_head[own[:_HEAD]].append(item)
        for gram in sorted(grams_of(own)):
            by_gram[gram].append(item)
    return PaperRule(names=names, words=words, by_head=dict(by_head), by_gram=dict(by_gram))


def scan_by_paper_rule(batches: Iterable[pa.RecordBatch], rule: PaperRule) -> Iterator[pa.RecordBatch]:
    """Contamination attributes by the paper's rule: clean or contaminated, one row a document, in order."""
    for batch in batches:
        pairs = zip(batch.column("doc_id").to_pylist(), batch.column("text").to_pylist(), strict=True)
        yield batch_of((_row(doc_id, text, rule) for doc_id, text in pairs), CONTAMINATION_ATTRIBUTES)


def grams_of(words: tuple[str, ...] | list[str], n: int = N) -> set[tuple[str, ...]]:
    """Distinct n-grams of a list of words; none where it is shorter than n."""
    return {tuple(words[k : k + n]) for k in range(len(words) - n + 1)}


def jaccard(one: set[Any], other: set[Any]) -> float:
    """Shared part of the union, 0 where both are empty."""
    union = len(one | other)
    return len(one & other) / union if union else 0.0


def _row(doc_id: str, text: str, rule: PaperRule) -> dict[str, Any]:
    words = text.split()
    scores = dict.fromkeys(_exact(words, rule), 1.0)
    own = grams_of(words)
    shared = Counter(item for gram in own for item in rule.by_gram.get(gram, ()))
    for item, count in shared.items():
        size = len(grams_of(rule.words[item]))
        score = count / (len(own) + size - count)
        if score > JACCARD:
            scores[item] = max(score, scores.get(item, 0.0))
    matches = [
        {
            "benchmark": rule.names[item][0],
            "question_index": rule.names[item][1],
            "verdict": CONTAMINATED,
            "score": score,
            "evidence": " ".join(rule.words[item])[:_EVIDENCE_CHARACTERS],
        }
        for item, score in sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    best = matches[0] if matches else {"benchmark": None, "question_index": None, "score": 0.0, "evidence": None}
    return {
        "doc_id": doc_id,
        "verdict": CONTAMINATED if matches else CLEAN,
        **{name: best[name] for name in ("benchmark", "question_index", "score", "evidence")},
        "matches": matches,
    }


def _exact(words: list[str], rule: PaperRule) -> set[int]:
    """Questions that are in the document word for word."""
    found = set()
    for k in range(len(words)):
        for size in range(1, _HEAD + 1):
            for item in rule.by_head.get(tuple(words[k : k + size]), ()):
                question = rule.words[item]
                if (len(question) >= _HEAD) == (size == _HEAD) and tuple(words[k : k + len(question)]) == question:
                    found.add(item)
    return found
