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
from mathcode_assets.text.normalise import operators, tokenise

_CONTEXT = 160  # bytes looked at before and after a span to see whether it stands alone
_LABEL_BYTES = 3  # "1.", "(a)", "Q:" before a question
_BORDER = re.compile(r"[\n\r\u2028?!:;…]|\.(?!\d)")
_CUT = re.compile(r"[\n\r\u2028…]|\.\.\.|\\n|$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """One item put on one stretch of a document, as `measure.measure` counted it."""

    item: int
    length: int  # tokens of the item
    n_equal: int  # tokens of the item that are there
    first_byte: int
    last_byte: int
    changed: int  # numbers with another number in their place
    extra: int  # numbers of the document between tokens of the item, or in the place of a word
    lost: int  # numbers up to the last token that is there, with nothing in their place
    numbers: int  # numbers up to there
    shared_words: int  # different words of the item that are there
    lead: int  # tokens from the beginning of the item that are there, one after the other
    pieces: int  # stretches of the document it lies in, other text of a few tokens between them
    is_template: bool  # every token is there, or another number in its place, one after the other
    is_whole: bool  # every token of the item, the code of figures apart
    is_run: bool  # ... one after the other
    coverage: float  # weighted share of the item's tokens that are there
    template: float  # the same, other numbers in their places counted as there
    information: float  # nats of the tokens that are there
    words: float  # weighted share of the item's words that are there
    lead_information: float  # nats
    rest: float  # share of the tokens after the lead that are there, or another number in their place
    lead_stops: tuple[int, ...]  # bytes of the document after the last token of the lead, the one before it, ...


def n_words(item: int, index: BenchmarkIndex) -> int:
    """Different words of an item, outside figures."""
    at = slice(int(index.offsets[item]), int(index.offsets[item + 1]))
    return len(np.unique(index.token_hash[at][index.token_word[at] & index.token_core[at]]))


def verdict_of(aligned: Aligned, index: BenchmarkIndex, document: bytes, config: DecontaminationConfig) -> str:
    """Clean, near or contaminated for one alignment in a document's bytes."""
    if aligned.length < config.short_tokens:
        return _short_verdict(aligned, index, document, config)
    if _is_cut(aligned, index, document, config):
        return CONTAMINATED
    same_numbers = not aligned.changed and aligned.extra <= config.extra_numbers and aligned.lost * 3 <= aligned.numbers
    if same_numbers and _is_there(aligned, index, config):
        return CONTAMINATED
    return _near_or_clean(aligned, config)


def _is_there(aligned: Aligned, index: BenchmarkIndex, config: DecontaminationConfig) -> bool:
    """Whether the words of the item are there: all of them, or all but some."""
    if aligned.is_whole:
        return aligned.information >= config.complete_information and aligned.pieces <= config.whole_pieces
    return (
        aligned.pieces <= config.partial_pieces
        and aligned.coverage >= config.contaminated_coverage
        and aligned.words >= config.contaminated_words
        and aligned.information >= config.partial_information
        and n_words(aligned.item, index) >= config.min_words
    )


def _near_or_clean(aligned: Aligned, config: DecontaminationConfig) -> str:
    """Near is what a person should look at: a template, or most of the words; formulas are all alike."""
    if aligned.template < config.near_coverage or aligned.information < config.near_information:
        return CLEAN
    alike = aligned.shared_words >= config.near_shared_words and aligned.words >= config.near_words
    return NEAR if alike or aligned.is_template else CLEAN


def _is_cut(aligned: Aligned, index: BenchmarkIndex, document: bytes, config: DecontaminationConfig) -> bool:
    """Whether the item was cut: its beginning is there word for word, and then the line ends."""
    if aligned.lead == 0 or aligned.lead_information < config.cut_information:
        return False
    if aligned.rest > config.cut_rest:  # it goes on, with other numbers, on the next line
        return False
    question = index.items["question"][aligned.item].as_py().encode()
    own_stops = tokenise(question).stops
    # The host's next words may be the question's by chance: look at the last tokens of the lead, too.
    for kept, stop in zip(range(aligned.lead, 0, -1), aligned.lead_stops, strict=False):
        if _kept_share(aligned.item, index, question, kept, int(own_stops[kept - 1])) < config.cut_share:
            return False
        tail = document[stop : stop + _CONTEXT].decode("utf-8", "ignore")
        border = _CUT.search(tail)
        if border is not None and not len(tokenise(tail[: border.start()])):
            if b"\n" in question[own_stops[kept - 1] :][:4] and tail[border.end() :].lstrip()[:1] in (
                "$",
                "\\",
            ):
                return False  # the question has a formula on its next line, and so has the document: another one
            enough_words = n_words(aligned.item, index) >= config.min_words
            return enough_words or _same_operators(aligned, index, document[:stop], kept)
    return False


def _kept_share(item: int, index: BenchmarkIndex, question: bytes, kept: int, stop: int) -> float:
    """How much of the question its first tokens are, by tokens or by words between blanks, whichever is more.

    Seventy per cent of the words may be half of the tokens, where a formula ends the question.
    """
    core = index.token_core[index.offsets[item] : index.offsets[item + 1]]
    by_words = len(question[:stop].split()) / max(1, len(question.split()))
    return max(float(core[:kept].sum()) / max(1, int(core.sum())), by_words)


def _short_verdict(aligned: Aligned, index: BenchmarkIndex, document: bytes, config: DecontaminationConfig) -> str:
    """A short question must be there word for word, operators included, and must say something."""
    if not aligned.is_run or not _same_operators(aligned, index, document):
        return _near_or_clean(aligned, config)
    if aligned.information >= config.short_information:
        return CONTAMINATED
    alone = stands_alone(document, aligned.first_byte, aligned.last_byte)
    trivial = config.trivial_with_numbers if aligned.numbers else config.trivial_information
    if aligned.information < trivial:
        near = answer_is_near(aligned, index, document, config.trivial_answer_window)
        return CONTAMINATED if alone and near else CLEAN
    return CONTAMINATED if alone or answer_is_near(aligned, index, document, config.answer_window) else NEAR


def _same_operators(aligned: Aligned, index: BenchmarkIndex, document: bytes, kept: int | None = None) -> bool:
    """Whether the span has the operators of the question, or of its first tokens."""
    question = index.items["question"][aligned.item].as_py()
    stops = tokenise(question).stops
    first = int(tokenise(question).starts[0])
    own = question.encode()[first : stops[(kept or len(stops)) - 1]].decode("utf-8", "ignore")
    found = document[aligned.first_byte : aligned.last_byte].decode("utf-8", "ignore")
    return operators(own) == operators(found)


def stands_alone(document: bytes, first: int, last: int) -> bool:
    """Whether a span is a sentence, line or list item of its own: no word up to the next border."""
    after = document[last : last + _CONTEXT].decode("utf-8", "ignore")
    border = _BORDER.search(after)
    if len(tokenise(after[: border.start()] if border else after)):
        return False
    before = document[max(0, first - _CONTEXT) : first].decode("utf-8", "ignore")
    borders = list(_BORDER.finditer(before))
    rest = tokenise(before[borders[-1].end() :] if borders else before)
    return not len(rest) or (len(rest) == 1 and int(rest.stops[0] - rest.starts[0]) <= _LABEL_BYTES)


def answer_is_near(aligned: Aligned, index: BenchmarkIndex, document: bytes, window: int) -> bool:
    """Whether the item's answer, or most of its options, follow within some tokens.

    The letter of an option is no answer: it is near everything.
    """
    following = tokenise(document[aligned.last_byte : aligned.last_byte + 16 * window]).hashes[:window].tolist()
    stated = index.items["answer"][aligned.item].as_py()
    answer = tokenise(stated).hashes.tolist() if not (len(stated) < 2 and stated.isalpha()) else []
    if answer and any(following[k : k + len(answer)] == answer for k in range(len(following))):
        return True
    options = set(tokenise(index.items["options"][aligned.item].as_py()).hashes.tolist())
    return len(options) > 4 and len(options & set(following)) > 0.7 * len(options)
