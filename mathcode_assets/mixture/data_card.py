"""The token table and the data card of a pile, as Markdown a hub shows and a person reads.

The card is built from plain dataclasses, so it says what was counted and not what was meant: licences
by count, drops by reason, checks with their results, the tokenizer by name and hash, and the paper's
own numbers beside ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from mathcode_assets.mixture.pile import PileTally
from mathcode_assets.mixture.plan import MixturePlan

# MathCoder2 Table 1: documents, tokens by the paper's tokenizer. The title is the name in the paper.
PAPER_TABLE_1: Mapping[str, tuple[str, int, int]] = {
    "open_web_math": ("filtered-OpenWebMath", 2_824_705, 4_826_902_621),
    "cc_en_math": ("filtered-CC-En-math", 7_597_718, 6_341_745_645),
    "synthetic": ("synthetic data", 2_195_974, 2_193_189_314),
    "code": ("code using math packages", 513_059, 1_703_226_005),
    "textbooks": ("mathematical textbooks", 8_373, 1_390_268_773),
    "mathematical_code": ("model-translated mathematical code", 6_347_823, 2_728_740_985),
}

# The hub rejects a card whose `license` it does not know. Its identifiers that a corpus like this meets,
# and SPDX names (lower case) that it spells otherwise; anything else is listed as `other` and named in
# the card's text.
_HUB_IDENTIFIERS = frozenset(
    [
        "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc-by-2.0",
        "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-2.0", "epl-2.0",
        "eupl-1.2", "gfdl", "gpl-2.0", "gpl-3.0", "isc", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl",
        "odbl", "odc-by", "unknown", "unlicense", "wtfpl", "zlib",
    ]
)  # fmt: skip
_HUB_SPELLINGS = {"gfdl-1.1": "gfdl", "gfdl-1.2": "gfdl", "gfdl-1.3": "gfdl", "odc-by-1.0": "odc-by"}

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_LARGER_SIZES = ((10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentCount:
    """One component in the pile.

    Attributes:
        name: as in the pile's column `component`.
        documents: rows, copies counted.
        tokens: of those rows.
        size_bytes: UTF-8 bytes of their text.
        dropped: documents left out on the way, by reason, of every stage.
        weight: after caps.
    """

    name: str
    documents: int
    tokens: int
    size_bytes: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A source: its key, where it was read from, what revision, how many files."""

    name: str
    uri: str
    revision: str
    n_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """A check of the pile or its inputs and how it came out."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """Everything the card says.

    Attributes:
        title: of the data set.
        components: in the order of the pile.
        tokenizer: `Tokenizer.name` of the counts.
        licences: rows by licence, as the sources state it.
        sources: what was read.
        checks: with results.
        corpus_hash: hash of the pile's manifest, the identity of this build; empty if there is none.
        code_version: of the package that built it.
        notes: paragraphs on what differs from the paper, in Markdown.
    """

    title: str = "MathCode-Pile"
    components: Sequence[ComponentCount]
    tokenizer: str
    licences: Mapping[str, int]
    sources: Sequence[SourceLine] = ()
    checks: Sequence[CheckLine] = ()
    corpus_hash: str = ""
    code_version: str = ""
    notes: Sequence[str] = ()


def component_counts(
    tally: PileTally, plan: MixturePlan, *, dropped: Mapping[str, Mapping[str, int]] | None = None
) -> list[ComponentCount]:
    """The components of a finished pile, with what the mixture and the stages before it left out.

    Args:
        tally: after the last batch of `mix` was read.
        plan: the one that was mixed by.
        dropped: documents left out before the mixture, by component and reason.
    """
    earlier = dropped or {}
    return [
        ComponentCount(
            name=name,
            documents=counts.rows,
            tokens=counts.tokens,
            size_bytes=counts.size_bytes,
            dropped={**earlier.get(name, {}), **counts.dropped},
            weight=plan.components[name].weight,
        )
        for name, counts in tally.components.items()
    ]


def render_token_table(components: Sequence[ComponentCount], *, tokenizer: str) -> str:
    """The table of components as Markdown, with totals and the tokenizer in its heading."""
    total = _total(components)
    rows = [
        [
            component.name,
            f"{component.documents:,}",
            f"{component.tokens:,}",
            _percent(component.tokens, total.tokens),
            _average(component.tokens, component.documents),
            f"{component.size_bytes:,}",
        ]
        for component in [*components, total]
    ]
    heading = ["component", "documents", f"tokens ({tokenizer})", "share", "average tokens", "bytes"]
    return _table(heading, rows)


def render_paper_table(components: Sequence[ComponentCount]) -> str:
    """Ours beside Table 1 of the paper: documents, average tokens and share of tokens of both."""
    ours = {component.name: component for component in components}
    total = _total(components)
    paper_tokens = sum(tokens for _, _, tokens in PAPER_TABLE_1.values())
    rows = []
    for name, (title, documents, tokens) in PAPER_TABLE_1.items():
        own = ours.get(name, ComponentCount(name=name, documents=0, tokens=0, size_bytes=0))
        rows.append(
            [
                title,
                name,
                f"{own.documents:,}",
                f"{documents:,}",
                _average(own.tokens, own.documents),
                _average(tokens, documents),
                _percent(own.tokens, total.tokens),
                _percent(tokens, paper_tokens),
            ]
        )
    heading = [
        "paper's name", "component", "documents", "paper", "average tokens", "paper", "share", "paper"
    ]  # fmt: skip
    return _table(heading, rows)


def render_data_card(card: DataCard) -> str:
    """`README.md` of the data set: YAML front matter as the Hugging Face hub reads it, then Markdown."""
    total = _total(card.components)
    parts = [
        f"---\n{_front_matter(card)}---\n",
        f"# {card.title}\n",
        "Mathematical text, code that uses mathematics packages, and text paired with verified code, built "
        "by the recipe of MathCoder2 (arXiv 2410.08196). Each row carries the address, revision and licence "
        "of the record it comes from.\n",
        _identity(card),
        "## Components\n",
        render_token_table(card.components, tokenizer=card.tokenizer),
        "## Beside the paper\n",
        "Token counts of two tokenizers do not compare exactly; shares and averages nearly do.\n",
        render_paper_table(card.components),
        "## Licences\n",
        "As the sources state them; `unknown` where a source says nothing about the single record.\n",
        _table(["licence", "rows", "share"], _licence_rows(card.licences, total.documents)),
    ]
    if any(component.dropped for component in card.components):
        parts += ["## Left out, by reason\n", _table(["component", "reason", "documents"], _drop_rows(card))]
    if card.sources:
        lines = [[s.name, s.uri, s.revision, f"{s.n_files:,}"] for s in card.sources]
        parts += ["## Sources\n", _table(["source", "read from", "revision", "files"], lines)]
    if card.checks:
        lines = [[c.name, "passed" if c.passed else "**failed**", c.detail] for c in card.checks]
        parts += ["## Checks\n", _table(["check", "result", "detail"], lines)]
    if card.notes:
        parts += ["## Notes\n", *(f"{note}\n" for note in card.notes)]
    return "\n".join(parts)


def size_category(n_rows: int) -> str:
    """The hub's size category of so many rows, e.g. `10K<n<100K`."""
    for limit, name in (*_SIZES, *_LARGER_SIZES):
        if n_rows < limit:
            return name
    return "10B<n<100B"


def hub_licences(licences: Mapping[str, int]) -> list[str]:
    """The hub's identifiers of these licences, the one with most rows first, each once."""
    counts: dict[str, int] = {}
    for licence, count in licences.items():
        spdx = licence.lower().removesuffix("-only").removesuffix("-or-later").removesuffix("+")
        identifier = _HUB_SPELLINGS.get(spdx, spdx)
        identifier = identifier if identifier in _HUB_IDENTIFIERS else "other"
        counts[identifier] = counts.get(identifier, 0) + count
    return sorted(counts, key=lambda identifier: (-counts[identifier], identifier))


def _front_matter(card: DataCard) -> str:
    names = [component.name for component in card.components if component.documents]
    configs = [_config("default", "data/*/train-*.parquet", default=True)] if names else []
    configs += [_config(name, f"data/{name}/train-*.parquet") for name in names]
    values = {
        "pretty_name": card.title,
        "license": hub_licences(card.licences),
        "language": ["en"],
        "task_categories": ["text-generation"],
        "size_categories": [size_category(_total(card.components).documents)],
        "tags": ["mathematics", "code", "pretraining"],
        "configs": configs,
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _config(name: str, path: str, *, default: bool = False) -> dict[str, object]:
    marker = {"default": True} if default else {}
    return {"config_name": name, **marker, "data_files": [{"split": "train", "path": path}]}


def _identity(card: DataCard) -> str:
    lines = [f"- counted with `{card.tokenizer}`"]
    lines += [f"- build `{card.corpus_hash}`"] if card.corpus_hash else []
    lines += [f"- built by mathcode-assets {card.code_version}"] if card.code_version else []
    weights = [f"{c.name} {c.weight:g}" for c in card.components if c.weight != 1]
    lines += [f"- weights other than 1: {', '.join(weights)}"] if weights else ["- every component whole, once"]
    return "\n".join(lines) + "\n"


def _licence_rows(licences: Mapping[str, int], total: int) -> list[list[str]]:
    ordered = sorted(licences.items(), key=lambda entry: (-entry[1], entry[0]))
    return [[licence, f"{count:,}", _percent(count, total)] for licence, count in ordered]


def _drop_rows(card: DataCard) -> list[list[str]]:
    return [
        [component.name, reason, f"{count:,}"]
        for component in card.components
        for reason, count in sorted(component.dropped.items(), key=lambda entry: (-entry[1], entry[0]))
        if count
    ]


def _total(components: Sequence[ComponentCount]) -> ComponentCount:
    return ComponentCount(
        name="total",
        documents=sum(component.documents for component in components),
        tokens=sum(component.tokens for component in components),
        size_bytes=sum(component.size_bytes for component in components),
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _average(tokens: int, documents: int) -> str:
    return f"{tokens / documents:,.0f}" if documents else "-"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a cell's own bars and line ends cannot break it."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
