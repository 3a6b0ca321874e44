"""filtered-OpenWebMath: which documents of OpenWebMath are mathematics rather than mathematics-flavoured.

Paper, section 2.1: a language model puts every block of a document in one of seven types; the document stays
if a block is a mathematical problem or concept. `tag_with_annotation` does that. `tag_with_classifier` needs
no model: fastText and formula features, joined by a logistic regression, trained on documents with given
labels (`training_examples`, `CLASSIFIER`); its held-out precision stands in the report of the training.
Both emit `records.FILTER_ATTRIBUTES`, one row for each document in order.

OpenWebMath holds programming beside mathematics (types 4 to 6 of the paper). A page with code is only dropped
where code dominates and formulas are rare: an algorithm explained with its mathematics stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mathcode_assets.annotation.blocks import split_blocks
from mathcode_assets.annotation.seven_types import (
    MATHEMATICAL_TYPES,
    PROGRAMMING_TYPES,
    SCIENTIFIC_TYPES,
    VERSION,
    messages,
    parse_type,
)
from mathcode_assets.filtering.classifier import Classifier
from mathcode_assets.filtering.features import densities, formula_features
from mathcode_assets.filtering.seed import Example, labelled_examples
from mathcode_assets.filtering.tagging import NOT_MATHEMATICAL, PROGRAMMING, Verdict, attributes_of
from mathcode_assets.filtering.training import ClassifierConfig
from mathcode_assets.llm.generator import Completion, Generator, Parameters, Request

SCIENTIFIC = "scientific"
UNPARSED = "unparsed_annotation"
FAILED = "failed_annotation"

CLASSIFIER = ClassifierConfig(name="open_web_math", positive="math", formula_features=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWebMathConfig:
    """What is kept. Densities are counts per 100 words."""

    threshold: float = 0.3
    """Score in [0, 1] from which a document is mathematics. Measured with precision first, recall second: on
    329 pages of mathematics and 2,709 others of held-out sources 1.00, 0.90 (at 0.5: 1.00, 0.87), on 517 of
    origins never trained on 0.99, 0.98 (at 0.5: 1.00, 0.98). Chosen with a view of these same pages: a
    fresh sample may come out a little lower."""
    threshold_with_code: float = 0.5
    """The same for pages with traces of code: between 0.3 and 0.5 these are walk-throughs of deep learning
    libraries rather than mathematics."""
    # Read off the pages of a site on algorithms and of a book on deep learning: below these, pages on data
    # structures and library usage; above, number theory and geometry with programs.
    programming_min_code_lines: float = 30.0  # percent of the lines
    programming_max_formulas: float = 12.0  # LaTeX commands, dollar signs, scripts and symbols
    # From any of these on a page has traces of code; dropped, it is called programming.
    trace_code_lines: float = 10.0
    trace_code_marks: float = 2.0
    trace_programming_words: float = 2.0


def training_examples(
    labelled_documents: Iterable[pa.RecordBatch], labels: Iterable[pa.RecordBatch]
) -> Iterator[Example]:
    """What `CLASSIFIER` is trained on: documents of a labelled source, joined with their labels.

    Args:
        labelled_documents: batches of `records.DOCUMENT`; the labels need not cover all.
        labels: batches of `records.LABEL`, ids as in source_id; their split is respected.
    """
    return labelled_examples(labelled_documents, labels, max_chars=CLASSIFIER.max_chars)


def tag_with_classifier(
    documents: Iterable[pa.RecordBatch], classifier: Classifier, config: OpenWebMathConfig
) -> Iterator[pa.RecordBatch]:
    """Verdicts from a classifier and the density of code and formulas.

    ``labels`` holds ``formulas`` and ``code`` where the page has a notable share of them.
    """
    for batch in documents:
        texts = batch.column("text").to_pylist()
        features = formula_features(texts)
        formulas = densities(features, "latex_commands", "dollar_signs", "scripts", "math_symbols")
        code_lines = densities(features, "code_lines")
        is_code_heavy = (code_lines >= config.programming_min_code_lines) & (formulas < config.programming_max_formulas)
        has_code = (
            (code_lines >= config.trace_code_lines)
            | (densities(features, "code_marks") >= config.trace_code_marks)
            | (densities(features, "programming_words") >= config.trace_programming_words)
        )
        has_formulas = formulas >= config.programming_max_formulas
        scores = classifier.score(texts, features=features)
        verdicts = [
            _classifier_verdict(
                float(score), config.threshold_with_code if code else config.threshold, heavy, code, formula
            )
            for score, heavy, code, formula in zip(
                scores, is_code_heavy.tolist(), has_code.tolist(), has_formulas.tolist(), strict=True
            )
        ]
        yield attributes_of(batch.column("doc_id").to_pylist(), verdicts, model=classifier.model_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationConfig:
    """How a language model is asked."""

    model: str
    model_revision: str = ""
    # Paper: greedy decoding. The answer is one number; a few more tokens leave room for "The type is".
    parameters: Parameters = field(default_factory=lambda: Parameters(temperature=0.0, max_tokens=16))
    block_chars: int = 5_000  # paper: blocks of at most 5,000 characters
    max_blocks: int = 400
    """Blocks asked about per document; a 50 MB text would be 10,000 requests. What is left over is recorded
    as the label ``blocks_not_asked:N``."""


def tag_with_annotation(
    documents: Iterable[pa.RecordBatch], generator: Generator, config: AnnotationConfig
) -> Iterator[pa.RecordBatch]:
    """Verdicts from the seven types of a document's blocks.

    ``score`` is the share of blocks of type 1 or 2; ``labels`` holds ``type_N:count`` for each type seen, and
    ``unparsed:count``, ``failed:count`` where an answer said nothing or never came. A document without a
    single usable answer is dropped as such, so a later run with the model back can be told from a real no.
    """
    for batch in documents:
        blocks_of = [
            [block for block in split_blocks(text.as_py(), config.block_chars) if block.strip()]
            for text in batch.column("text")
        ]
        requests = [
            Request(
                messages=messages(block),
                model=config.model,
                model_revision=config.model_revision,
                parameters=config.parameters,
                prompt_version=VERSION,
            )
            for blocks in blocks_of
            for block in blocks[: config.max_blocks]
        ]
        answers = iter(generator.generate(requests))
        verdicts = []
        for blocks in blocks_of:
            asked = min(len(blocks), config.max_blocks)
            completions = [next(answers) for _ in range(asked)]
            verdicts.append(_annotation_verdict(completions, n_left_over=len(blocks) - asked))
        model = f"{config.model}@{config.model_revision or 'unversioned'}/{VERSION}"
        yield attributes_of(batch.column("doc_id").to_pylist(), verdicts, model=model)


def _classifier_verdict(
    score: float, threshold: float, is_code_heavy: bool, has_code: bool, has_formulas: bool
) -> Verdict:
    labels = ["formulas"] * has_formulas + ["code"] * has_code
    if score < threshold:
        return Verdict(PROGRAMMING if has_code else NOT_MATHEMATICAL, score, labels)
    return Verdict(PROGRAMMING if is_code_heavy else "", score, labels)


def _annotation_verdict(completions: Sequence[Completion], *, n_left_over: int) -> Verdict:
    seen: Counter[str] = Counter()
    types: Counter[int] = Counter()
    for completion in completions:
        parsed = parse_type(completion.text) if completion.is_ok else None
        if parsed is None:
            seen["failed"] += 1
        elif parsed.value is None:
            seen["unparsed"] += 1
        else:
            types[parsed.value] += 1
    labels = [f"type_{number}:{count}" for number, count in sorted(types.items())]
    labels += [f"{name}:{count}" for name, count in sorted(seen.items())]
    labels += [f"blocks_not_asked:{n_left_over}"] * bool(n_left_over)
    n_mathematical = sum(types[number] for number in MATHEMATICAL_TYPES)
    score = n_mathematical / len(completions) if completions else 0.0
    return Verdict("" if n_mathematical else _reason_of(types, seen), score, labels)


def _reason_of(types: Counter[int], seen: Counter[str]) -> str:
    """Why a document without a mathematical block is dropped: by the most frequent kind of its blocks."""
    if not types and not seen:
        return NOT_MATHEMATICAL  # white space only
    if not types:
        return FAILED if seen["failed"] >= seen["unparsed"] and seen["failed"] else UNPARSED
    kinds = {
        PROGRAMMING: sum(types[number] for number in PROGRAMMING_TYPES),
        SCIENTIFIC: sum(types[number] for number in SCIENTIFIC_TYPES),
    }
    kind, count = max(kinds.items(), key=lambda item: item[1])
    return kind if 2 * count > types.total() else NOT_MATHEMATICAL
