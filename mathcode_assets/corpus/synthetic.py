"""The synthetic component: three sets of model-written texts, each with its own rule.

Paper, section 2.1. The set is told by the name of the source file.

| set | files | rule |
|---|---|---|
| Education-College-Students | ``education_college*`` | more than 10 ``$``, then related to mathematics |
| Maths-College | ``maths_college*`` | kept whole |
| Matrix books | ``book_math*``, ``book_science*`` | a classifier: filtered-OpenWebMath against the books |

Maths-College also holds ciphers, syllogisms and word puzzles; the paper keeps them, and so do we.
Emits `records.FILTER_ATTRIBUTES`, one row for each document in order; ``labels`` names the set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mathcode_assets.annotation.related import VERSION, messages, parse_relation
from mathcode_assets.filtering.classifier import Classifier
from mathcode_assets.filtering.features import formula_density, formula_features
from mathcode_assets.filtering.seed import Example, texts_by_id
from mathcode_assets.filtering.tagging import NOT_MATHEMATICAL, Verdict, attributes_of
from mathcode_assets.filtering.training import ClassifierConfig
from mathcode_assets.llm.generator import Generator, Parameters, Request

EDUCATION_COLLEGE = "education_college"
MATHS_COLLEGE = "maths_college"
MATRIX_BOOKS = "matrix_books"
UNKNOWN_SET = "unknown_set"

FEW_DOLLAR_SIGNS = "few_dollar_signs"
NOT_RELATED = "not_related"
NO_VERDICT = "no_verdict"

RULES_VERSION = "synthetic_rules@1"

_SETS = ((EDUCATION_COLLEGE, "educationcollege"), (MATHS_COLLEGE, "mathscollege"))
_BOOK_FILES = re.compile(r"book_?(?:math|science)", re.IGNORECASE)

# Both classes hold mathematics and prose, as in round 1 of cc_en_math: words only, suspects left out.
BOOK_CLASSIFIER = ClassifierConfig(name="synthetic_books", positive="math", letters_only=True, suspect_score=0.2)

Judge = Callable[[Sequence[str]], list[Verdict]]
"""Says of each text whether it is related to mathematics: a verdict without a reason means yes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticConfig:
    """Constants of the rules."""

    min_dollar_signs: int = 11  # paper: more than 10
    book_threshold: float = 0.5
    min_formula_density: float = 3.0
    """Formula signs per 100 words from which a text counts as related where no model is asked. Pages of prose
    with many dollar signs stay below 1, worked word problems with prices start at 3.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationConfig:
    """How a model is asked whether a text is related to mathematics."""

    model: str
    model_revision: str = ""
    parameters: Parameters = field(default_factory=lambda: Parameters(temperature=0.0, max_tokens=16))
    max_chars: int = 12_000  # some 3,000 tokens; the first pages say what a text is about


def set_of(source_file: str) -> str:
    """Which set a source file belongs to, by its path; hub names and our file names both work."""
    plain = re.sub(r"[^a-z]", "", source_file.lower())
    for name, part in _SETS:
        if part in plain:
            return name
    return MATRIX_BOOKS if _BOOK_FILES.search(source_file) else UNKNOWN_SET


def judge_by_formulas(config: SyntheticConfig) -> tuple[Judge, str]:
    """A judge that needs no model: enough formula signs among the words. With its name@version."""

    def judge(texts: Sequence[str]) -> list[Verdict]:
        signs = formula_density(formula_features(texts))
        return [Verdict("" if one >= config.min_formula_density else NOT_RELATED, None) for one in signs]

    return judge, "formula_density@1"


def judge_by_generator(generator: Generator, config: RelationConfig) -> tuple[Judge, str]:
    """A judge that asks a language model. A text without a usable answer is dropped as such."""

    def judge(texts: Sequence[str]) -> list[Verdict]:
        requests = [
            Request(
                messages=messages(text[: config.max_chars]),
                model=config.model,
                model_revision=config.model_revision,
                parameters=config.parameters,
                prompt_version=VERSION,
            )
            for text in texts
        ]
        relations = [
            parse_relation(completion.text).value if completion.is_ok else None
            for completion in generator.generate(requests)
        ]
        reasons = {True: "", False: NOT_RELATED, None: NO_VERDICT}
        return [Verdict(reasons[relation], None) for relation in relations]

    return judge, f"{config.model}@{config.model_revision or 'unversioned'}/{VERSION}"


def book_examples(mathematics: Iterable[pa.RecordBatch], books: Iterable[pa.RecordBatch]) -> Iterator[Example]:
    """What `BOOK_CLASSIFIER` is trained on: filtered-OpenWebMath as positives, the books as negatives.

    Documents of other sets in ``books`` are passed over.
    """
    for _, text in texts_by_id(mathematics):
        yield Example(text[: BOOK_CLASSIFIER.max_chars], "math")
    for batch in books:
        for source_file, text in zip(batch.column("source_file").to_pylist(), batch.column("text"), strict=True):
            if set_of(source_file) == MATRIX_BOOKS:
                yield Example(text.as_py()[: BOOK_CLASSIFIER.max_chars], "book")


def tag(
    documents: Iterable[pa.RecordBatch],
    config: SyntheticConfig,
    *,
    judge: tuple[Judge, str],
    book_classifier: Classifier | None = None,
) -> Iterator[pa.RecordBatch]:
    """Verdicts by the rule of each document's set.

    Args:
        documents: batches of `records.DOCUMENT`.
        config: constants of the rules.
        judge: `judge_by_generator` or `judge_by_formulas`; asked about Education-College-Students texts with
            enough dollar signs, and about sets without a rule of their own.
        book_classifier: for the Matrix books; without one, the judge decides about them too.
    """
    ask, judge_id = judge
    for batch in documents:
        doc_ids = batch.column("doc_id").to_pylist()
        texts = batch.column("text").to_pylist()
        sets = [set_of(source_file) for source_file in batch.column("source_file").to_pylist()]
        verdicts: list[Verdict | None] = [
            _rule_verdict(name, text, config) for name, text in zip(sets, texts, strict=True)
        ]
        models = [RULES_VERSION] * len(texts)
        open_rows = [row for row, verdict in enumerate(verdicts) if verdict is None]
        book_rows = [row for row in open_rows if sets[row] == MATRIX_BOOKS and book_classifier is not None]
        asked_rows = [row for row in open_rows if row not in set(book_rows)]
        for row, verdict in zip(asked_rows, ask([texts[row] for row in asked_rows]), strict=True):
            verdicts[row], models[row] = verdict, judge_id
        if book_classifier is not None:
            scores = book_classifier.score([texts[row] for row in book_rows])
            for row, score in zip(book_rows, scores, strict=True):
                reason = "" if score >= config.book_threshold else NOT_MATHEMATICAL
                verdicts[row], models[row] = Verdict(reason, float(score)), book_classifier.model_id
        final = [
            Verdict(verdict.reason, verdict.score, (name, *verdict.labels))
            for name, verdict in zip(sets, verdicts, strict=True)
            if verdict is not None
        ]
        yield attributes_of(doc_ids, final, model=models)


def _rule_verdict(set_name: str, text: str, config: SyntheticConfig) -> Verdict | None:
    """The verdict of a fixed rule, or None where a judge or classifier has to decide."""
    if set_name == MATHS_COLLEGE:
        return Verdict("", None)
    if set_name == EDUCATION_COLLEGE and text.count("$") < config.min_dollar_signs:
        return Verdict(FEW_DOLLAR_SIGNS, None)
    return None
