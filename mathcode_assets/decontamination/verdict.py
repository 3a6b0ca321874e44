"""From an alignment to a verdict: the numbers decide between near and contaminated.

A question with other numbers in it is another question, and so is a theorem that happens to share
a sentence with one. A question with a word exchanged, cut short, or spread over paragraphs is the
same question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.records import CLEAN, CONTAMINATED, NEAR
from mathcode_assets.text.normalise import Tokens, operators, tokenise

_CONTEXT = 160  # bytes looked at before and after a span to see whether it stands alone
_DRESS = " \t$*_>\"'“”‘’()[]|`~\\{}&"
_BEFORE = re.compile(r"(?:^|[\n\r\u2028.?!:;]|(?:\(?[a-z0-9]{1,3}[.)]))$", re.IGNORECASE)
_AFTER = re.compile(r"^(?:$|[\n\r\u2028?!]|\.(?!\d)|…)")
_CUT = re.compile(r"^[\s$*_)\]}.,;:\\\"'”]*?(?:$|\n|\u2028|\.\.\.|…|\\n)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """One item put on one stretch of a document."""

    item: int
    equal: np.ndarray  # bool for each token of the item: the same token in the document
    first_byte: int
    last_byte: int
    coverage: float  # weighted share of the item's tokens that are there
    template: float  # the same, other numbers in their places counted as there
    information: float  # nats of the tokens that are there
    changed: int  # numbers with another number in their place
    lost: int  # numbers inside the span with nothing in their place
    numbers: int  # numbers inside the span
    is_run: bool  # every token of the item, one after the other


def judge_alignment(item: int, index: BenchmarkIndex, placed: np.ndarray, window: Tokens) -> Aligned | None:
    """What an alignment says; None where nothing was aligned."""
    first, last = int(index.offsets[item]), int(index.offsets[item + 1])
    on = placed >= 0
    if not on.any():
        return None
    target = np.where(on, placed, 0)
    equal = on & (index.token_hash[first:last] == window.hashes[target])
    number = index.token_number[first:last]
    other = on & ~equal & number & window.is_number[target]
    weight = index.token_weight[first:last].astype(np.float64)
    total = max(float(weight.sum()), 1e-9)
    inside = np.flatnonzero(equal)
    if not len(inside):
        return None
    span = np.zeros(last - first, np.bool_)
    span[inside[0] : inside[-1] + 1] = True
    places = placed[inside]
    return Aligned(
        item=item,
        equal=equal,
        first_byte=int(window.starts[places[0]]),
        last_byte=int(window.stops[places[-1]]),
        coverage=min(1.0, float(weight[equal].sum()) / total),
        template=min(1.0, float(weight[equal | other].sum()) / total),
        information=float(weight[equal].sum()),
        changed=int(other.sum()),
        lost=int((span & number & ~equal & ~other).sum()),
        numbers=int((number & (span | other)).sum()),
        is_run=bool(equal.all() and np.all(np.diff(placed) == 1)),
    )


def verdict_of(
    aligned: Aligned, index: BenchmarkIndex, document: bytes, config: DecontaminationConfig
) -> str:
    """Clean, near or contaminated for one alignment in a document's bytes."""
    length = len(aligned.equal)
    if length < config.short_tokens:
        return _short_verdict(aligned, index, document, config)
    if aligned.template < config.near_coverage:
        return CLEAN
    if aligned.changed or aligned.lost * 3 > aligned.numbers:
        return NEAR
    if aligned.information < config.min_information:
        return NEAR
    if aligned.coverage >= config.contaminated_coverage:
        return CONTAMINATED
    if aligned.coverage >= config.cut_coverage and _is_cut(aligned, document):
        return CONTAMINATED
    return NEAR


def _is_cut(aligned: Aligned, document: bytes) -> bool:
    """Whether the item was cut: its beginning is there word for word, and then the line ends."""
    there = np.flatnonzero(aligned.equal)
    if there[0] > 1 or len(there) < 0.9 * (there[-1] + 1):
        return False
    tail = document[aligned.last_byte : aligned.last_byte + _CONTEXT].decode("utf-8", "ignore")
    return bool(_CUT.match(tail))


def _short_verdict(
    aligned: Aligned, index: BenchmarkIndex, document: bytes, config: DecontaminationConfig
) -> str:
    """A short question must be there word for word, operators included, and must say something."""
    if aligned.template < 0.8:
        return CLEAN
    if not aligned.is_run or not _same_operators(aligned, index, document):
        return NEAR if aligned.information >= config.trivial_information else CLEAN
    if aligned.information >= config.short_information:
        return CONTAMINATED
    if aligned.information < config.trivial_information:
        return CLEAN
    alone = stands_alone(document, aligned.first_byte, aligned.last_byte)
    return CONTAMINATED if alone or answer_is_near(aligned, index, document, config) else NEAR


def _same_operators(aligned: Aligned, index: BenchmarkIndex, document: bytes) -> bool:
    question = index.items["question"][aligned.item].as_py()
    tokens = tokenise(question)
    own = question.encode()[tokens.starts[0] : tokens.stops[-1]].decode("utf-8", "ignore")
    found = document[aligned.first_byte : aligned.last_byte].decode("utf-8", "ignore")
    return operators(own) == operators(found)


def stands_alone(document: bytes, first: int, last: int) -> bool:
    """Whether a span is a sentence, line or list item of its own."""
    before = document[max(0, first - _CONTEXT) : first].decode("utf-8", "ignore").rstrip(_DRESS)
    after = document[last : last + _CONTEXT].decode("utf-8", "ignore").lstrip(_DRESS)
    begins = (first <= _CONTEXT and not before.strip()) or bool(_BEFORE.search(before))
    return begins and bool(_AFTER.search(after))


def answer_is_near(
    aligned: Aligned, index: BenchmarkIndex, document: bytes, config: DecontaminationConfig
) -> bool:
    """Whether the item's answer, or most of its options, follow within `answer_window` tokens."""
    tail = tokenise(document[aligned.last_byte : aligned.last_byte + 16 * config.answer_window])
    following = tail.hashes[: config.answer_window].tolist()
    answer = tokenise(index.items["answer"][aligned.item].as_py()).hashes.tolist()
    if answer and any(following[k : k + len(answer)] == answer for k in range(len(following))):
        return True
    options = tokenise(index.items["options"][aligned.item].as_py()).hashes.tolist()
    return len(options) > 4 and len(set(options) & set(following)) > 0.7 * len(set(options))
