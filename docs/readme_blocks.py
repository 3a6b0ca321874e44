"""The blocks of README.md and docs/*.md that are printed by the code, and so can be checked and made anew.

A block stands between `<!-- block: NAME -->` and `<!-- end: NAME -->`. Those of `STATIC` need nothing;
those of `OF_SAMPLE` need the embedded sample, built. Seconds are never part of a block.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.data_model import render as render_data_model
from docs.graph import render as render_graph
from mathcode_assets.cli import console
from mathcode_assets.cli.graph import print_checks, print_components, print_model
from mathcode_assets.decontamination.paper_rule import prepare, scan_by_paper_rule
from mathcode_assets.defs.assets.contamination import current_index
from mathcode_assets.defs.drive import DriveReport
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.provenance.trace import render_trace, trace
from mathcode_assets.records import REFUTED, VERIFIED
from mathcode_assets.sample import sample_dir
from mathcode_assets.storage.catalog import open_catalog

REPOSITORY = Path(__file__).resolve().parent.parent
FILES = ("README.md", "docs/data-model.md")
WIDTH = 100
_BLOCK = re.compile(r"(<!-- block: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)

# What the README shows of the sample.
TEXTBOOK = "an-introduction-to-modular-arithmetic-second-edition.pdf"
EXCERPT = ("Theorem 2.", "(mod m).", 2)  # from, to, page
CONTAMINATED_PAGE = "https://numbersmith.example/congruences/sun-zi"
TRANSLATED_PAGE = "https://dice-and-decks.example/variance/dice"
TRACED_PAGE = "https://askmaths.example/q/4471"


def graph_block() -> str:
    """The asset graph."""
    return fenced(render_graph(), "mermaid")


def sample_block(workspace: Workspace, report: DriveReport) -> str:
    """What `mathcode sample` prints of the corpus: components, checks, partitions; not the warnings and the seconds."""

    def show() -> None:
        print_components(workspace)
        print_checks(report.checks)  # its warnings go to stderr

    made = f"{report.materialized} partitions made, {report.unchanged} unchanged"
    return fenced(f"{printed(show)}\n{made}")


def model_block(workspace: Workspace) -> str:
    """What it prints of the model that is trained on it."""
    return fenced(printed(lambda: print_model(workspace)))


def printed(show: Callable[[], None]) -> str:
    """What a command prints, as wide as the README."""
    width, console.out.width = console.out.width, WIDTH
    try:
        with console.out.capture() as captured:
            show()
    finally:
        console.out.width = width
    return captured.get().rstrip()


def textbook_block(workspace: Workspace) -> str:
    """A passage of a PDF as PDFium gives it, and as it stands in the pile."""
    import pypdfium2

    begin, end, page = EXCERPT
    pdf = pypdfium2.PdfDocument(sample_dir() / "data" / "textbooks" / TEXTBOOK)
    drawn = pdf[page - 1].get_textpage().get_text_range().replace("\r\n", "\n")
    query = "SELECT text FROM mixture__mathcode_pile WHERE source_uri LIKE '%' || $name"
    (text,) = open_catalog(workspace.lake).execute(query, {"name": TEXTBOOK}).fetchall()[0]
    before = _between(drawn, begin, end)
    after = "\n".join(textwrap.fill(line, WIDTH) for line in _between(text, begin, end).splitlines())
    return fenced(f"the PDF, as PDFium reads its lines\n\n{_quoted(before)}\n\nthe pile\n\n{_quoted(after)}")


def contaminated_block(workspace: Workspace) -> str:
    """One contaminated document with the benchmark item it holds."""
    catalog = open_catalog(workspace.lake)
    query = """
        SELECT doc_id, source_uri, length(text) AS characters, verdict, benchmark, question_index, score, evidence
        FROM filtered__open_web_math JOIN attributes__contamination__open_web_math USING (doc_id)
        WHERE source_uri = $page
    """
    found = _record(catalog.execute(query, {"page": CONTAMINATED_PAGE}))
    benchmark = str(sample_dir() / "data" / "benchmarks" / f"{found['benchmark']}.jsonl")
    questions = catalog.execute(
        "SELECT question FROM read_json($file) WHERE idx = $index",
        {"file": benchmark, "index": found["question_index"]},
    )
    lines = [
        ("document", f"{found['source_uri']}, {found['characters']:,} characters"),
        ("verdict", f"{found['verdict']}, score {found['score']:.2f}"),
        ("benchmark item", f"{found['benchmark']} #{found['question_index']}"),
        ("question", " ".join(_record(questions)["question"].split())),
        ("span found", " ".join(found["evidence"].split())),
        (
            "paper's rule",
            f"{_paper_verdict(workspace, found['doc_id'])} (13-gram Jaccard of page and question, or equal)",
        ),
    ]
    indent = 16
    return fenced(
        "\n".join(
            textwrap.fill(f"{name:<{indent}}{value}", WIDTH, subsequent_indent=" " * indent) for name, value in lines
        )
    )


def _paper_verdict(workspace: Workspace, doc_id: str) -> str:
    index, _ = current_index(workspace)
    for table in workspace.tables("filtered/open_web_math", "open_web_math"):
        for batch in scan_by_paper_rule(table.batches(columns=["doc_id", "text"]), prepare(index)):
            for row in batch.to_pylist():
                if row["doc_id"] == doc_id:
                    return str(row["verdict"])
    raise LookupError(doc_id)


def trace_block(workspace: Workspace) -> str:
    """The way of one document of the pile that was translated too."""
    ways = trace(open_catalog(workspace.lake), TRACED_PAGE)
    (way,) = [way for way in ways if not way.made_from]
    head, *computations = re.split(r"(?m)^(?=computation  )", render_trace(way).rstrip())
    tail = computations[-1].split("\n\n", 1)[1]
    # The first computation stands for all.
    shown = [head, computations[0], f"(and {len(computations) - 1} computations more)\n\n", tail]
    return fenced(f"$ mathcode trace {way.doc_id}\n{''.join(shown)}")


def translated_block(workspace: Workspace) -> str:
    """Two computations of one page: a verified one as it stands in the pile, and a refuted one."""
    query = """
        SELECT verdict, method, evidence, conditions, expression, result, code, stdout
        FROM computations__open_web_math WHERE source_uri = $page AND verdict = $verdict
        ORDER BY chunk, computation LIMIT 1
    """
    catalog = open_catalog(workspace.lake)
    shown = [f"page        {TRANSLATED_PAGE}"]
    for verdict in (VERIFIED, REFUTED):
        found = _record(catalog.execute(query, {"page": TRANSLATED_PAGE, "verdict": verdict}))
        lines = [("conditions", found["conditions"]), ("expression", found["expression"]), ("result", found["result"])]
        lines += [("program", found["code"]), ("printed", found["stdout"].strip())]
        lines += [(verdict, f"{found['method']}: {found['evidence']}")]
        shown += ["", *(_column(name, text) for name, text in lines)]
    return fenced("\n".join(shown))


def _column(name: str, text: str) -> str:
    """A text beside its name, its own lines kept and long ones wrapped."""
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, WIDTH - 12) or [""]]
    return "\n".join(f"{name if number == 0 else '':<12}{line}".rstrip() for number, line in enumerate(lines))


def leaky_block(report: DriveReport) -> str:
    """What `mathcode sample --leaky` prints in red, of a report of its build."""
    red = [
        f"red      {check.name} of {check.asset}[{check.partition}]: {check.description}"
        for check in report.checks
        if check.is_blocking and not check.passed
    ]
    pile = [
        f"failed   {failure.asset}[{failure.partition}]: {failure.reason}"
        for failure in report.failures
        if failure.asset.startswith("mixture/")
    ]
    return fenced("\n".join(textwrap.fill(line, WIDTH, subsequent_indent=" " * 9) for line in [*red, *pile]))


STATIC: Mapping[str, Callable[[], str]] = {"graph": graph_block, "data-model": render_data_model}
OF_SAMPLE: Mapping[str, Callable[[Workspace], str]] = {
    "textbook": textbook_block,
    "contaminated": contaminated_block,
    "translated": translated_block,
    "trace": trace_block,
}


def blocks(text: str) -> dict[str, str]:
    """The blocks of a Markdown text by name, as they stand."""
    return {match["name"]: match[0] for match in _BLOCK.finditer(text)}


def with_blocks(text: str, made: Mapping[str, str]) -> str:
    """The text with every block that is in `made` replaced; others stay."""

    def replace(match: re.Match[str]) -> str:
        return match[0] if match["name"] not in made else f"{match[1]}{made[match['name']]}\n{match[3]}"

    return _BLOCK.sub(replace, text)


def fenced(text: str, language: str = "") -> str:
    """A code block."""
    return f"```{language}\n{text}\n```"


def _between(text: str, begin: str, end: str) -> str:
    start = text.index(begin)
    return text[start : text.index(end, start) + len(end)].rstrip()


def _quoted(text: str) -> str:
    return textwrap.indent(text, "    ")


def _record(result: Any) -> dict[str, Any]:
    names = [column[0] for column in result.description]
    (row,) = result.fetchall()
    return dict(zip(names, row, strict=True))


def markdown_files() -> Iterator[tuple[Path, str]]:
    """The files that hold blocks, with their text."""
    for name in FILES:
        path = REPOSITORY / name
        yield path, path.read_text(encoding="utf-8")
