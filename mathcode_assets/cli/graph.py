"""Commands on the whole graph: sample, run, promote, catalog, export, trace."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table as ConsoleTable

from mathcode_assets.cli.console import UsageError, err, out
from mathcode_assets.config import load_sources
from mathcode_assets.sample import sample_dir

DEFAULT_OUTPUT = "lake"


def add_commands(commands: Any) -> None:
    """Add the subcommands of this module."""
    sample = commands.add_parser("sample", help="build the embedded sample's pile")
    sample.add_argument("--output", default=DEFAULT_OUTPUT, metavar="DIR", help="root of the lake (default: lake)")
    sample.add_argument(
        "--leaky", action="store_true", help="with a shard of benchmark solutions: see the check turn red"
    )
    sample.set_defaults(run=run_sample)
    run = commands.add_parser("run", help="build the pile of a sources file")
    run.add_argument("--sources", required=True, metavar="FILE.yaml")
    run.add_argument("--root", metavar="URI", help="another root of the lake than the file names")
    run.set_defaults(run=run_sources)
    export = commands.add_parser("export", help="the pile as a hub-shaped data set with its data card")
    export.add_argument("--lake", default=DEFAULT_OUTPUT, metavar="URI", help="root of the lake (default: lake)")
    export.add_argument("--output", required=True, metavar="DIR")
    export.add_argument("--model", action="store_true", help="the trained model instead, a folder as vLLM loads it")
    export.set_defaults(run=run_export)
    trace = commands.add_parser("trace", help="a document's whole way, both directions")
    trace.add_argument("id", help="a doc_id, or the id or address a source gives the document")
    trace.add_argument("--lake", default=DEFAULT_OUTPUT, metavar="URI", help="root of the lake (default: lake)")
    trace.add_argument("--runs", metavar="DIR", help="run folders of its trainings (default: .training in the lake)")
    trace.set_defaults(run=run_trace)
    catalog = commands.add_parser("catalog", help="write lake.duckdb: a view for each table, for your own SQL")
    catalog.add_argument("--lake", default=DEFAULT_OUTPUT, metavar="URI", help="root of the lake (default: lake)")
    catalog.add_argument("--output", metavar="FILE", help="default: lake.duckdb, in the lake or else here")
    catalog.set_defaults(run=run_catalog)


def run_sample(arguments: argparse.Namespace) -> int:
    """Build the embedded sample."""
    name = "sources-leaky.yaml" if arguments.leaky else "sources.yaml"
    return build(sample_dir() / name, root=str(Path(arguments.output).absolute()))


def run_sources(arguments: argparse.Namespace) -> int:
    """Build what a sources file names."""
    return build(Path(arguments.sources), root=arguments.root)


def build(sources_file: Path, *, root: str | None) -> int:
    """Drive the graph and print the table of components, the checks, and where to look next."""
    load_sources(sources_file)  # a mistake in the file is told before anything heavy is imported
    started = time.perf_counter()
    from mathcode_assets.definitions import LAKE_ASSETS, build_definitions, opened_location
    from mathcode_assets.defs.drive import Driver
    from mathcode_assets.defs.graph import CORPUS
    from mathcode_assets.defs.instance import dagster_home, open_instance
    from mathcode_assets.defs.launching import is_asked_for, missing_packages
    from mathcode_assets.defs.partition_runs import CodeLocation, Failure
    from mathcode_assets.defs.resources import WorkspaceResource
    from mathcode_assets.storage.catalog import CATALOG_NAME, write_catalog
    from mathcode_assets.storage.full_disk import FullDisk
    from mathcode_assets.storage.lake import WHOLE

    workspace = WorkspaceResource(sources_file=str(sources_file), root=root).open()
    workspace.lake.root.check_reachable()
    home = dagster_home(workspace.lake)
    missing = missing_packages(workspace) if is_asked_for(workspace) else []
    with open_instance(home) as instance:
        driver = Driver(
            definitions=build_definitions(sources_file, root=root),
            assets=CORPUS if missing else LAKE_ASSETS,
            workspace=workspace,
            instance=instance,
            progress=lambda line: out.print(line, style="dim", markup=False),
            location=CodeLocation(open=opened_location, sources_file=str(sources_file), root=root, home=home),
        )
        report = driver.run()
    try:
        catalog = write_catalog(workspace.lake)
    except FullDisk as error:
        catalog = None
        report.failures.append(Failure(asset=CATALOG_NAME, partition=WHOLE, reason=f"FullDisk: {error}"))
    print_components(workspace)
    if missing:
        out.print(f"not trained: {', '.join(missing)} missing here (infra/install_environment.sh ENV train,eval)")
    print_model(workspace)
    print_checks(report.checks)
    for failure in report.failures:
        err.print(f"failed {failure.asset}[{failure.partition}]: {failure.reason}", style="red", markup=False)
    seconds = time.perf_counter() - started
    if report.materialized:
        out.print(f"{report.materialized} partitions made, {report.unchanged} unchanged, in {seconds:.0f} s")
    else:
        out.print(f"nothing changed: all {report.unchanged} partitions are current ({seconds:.0f} s)")
    print_next(workspace.lake.root.uri, catalog, home, sources_file)
    return 0 if report.is_complete else 1


def print_components(workspace: Any) -> None:
    """The table of components of the published pile; a line where there is none."""
    from mathcode_assets.defs.assets.mixture import PILE_KEY, published_counts

    pile = workspace.lake.table(PILE_KEY).find_manifest()
    if pile is None:
        err.print("no pile was built")
        return
    title = f"MathCode-Pile, tokens counted by {pile.tokenizer}"
    table = ConsoleTable(title=title, title_justify="left")
    table.add_column("component")
    for name in ("documents", "tokens", "share"):
        table.add_column(name, justify="right")
    table.add_column("dropped on the way, by reason", overflow="fold")
    counts = published_counts(workspace, pile)
    n_tokens = sum(count.tokens for count in counts) or 1
    for count in counts:
        dropped = ", ".join(f"{reason} {n:,}" for reason, n in count.dropped.items()) or "-"
        table.add_row(
            count.name, f"{count.documents:,}", f"{count.tokens:,}", f"{count.tokens / n_tokens:.1%}", dropped
        )
    total = sum(count.documents for count in counts)
    table.add_row("total", f"{total:,}", f"{pile.n_tokens or 0:,}", "100.0%", "", style="bold")
    out.print(table)


def print_model(workspace: Any) -> None:
    """What was trained on the pile, and its scores; nothing where no model is published."""
    from mathcode_assets.defs.assets.checkpoint import CHECKPOINT_KEY
    from mathcode_assets.defs.assets.scores import SCORES_KEY, score_rows_of
    from mathcode_assets.evaluation.tables import score_cells

    checkpoint = workspace.lake.table(CHECKPOINT_KEY).find_manifest()
    scores = workspace.lake.table(SCORES_KEY)
    if checkpoint is None:
        return
    facts = checkpoint.facts
    title = (
        f"{CHECKPOINT_KEY}: {facts['steps']:,} steps, {facts['tokens']:,} tokens, "
        f"loss {facts['first_loss']:.2f} -> {facts['final_loss']:.2f}"
    )
    table = ConsoleTable(title=title, title_justify="left")
    for name in ("benchmark", "score", "95 % interval", "n", "paper"):
        table.add_column(name)
    for cells in score_cells(score_rows_of(scores)) if scores.find_manifest() else ():
        table.add_row(*cells[:5])
    out.print(table)


def print_checks(checks: Sequence[Any]) -> None:
    """Checks by name: how many partitions passed; each failure in full."""
    passed, failed = Counter(), []
    blocking: dict[str, bool] = {}
    for check in checks:
        passed[check.name] += check.passed
        blocking[check.name] = blocking.get(check.name, False) or check.is_blocking
        if not check.passed:
            failed.append(check)
    table = ConsoleTable(title="Checks", title_justify="left")
    table.add_column("check")
    table.add_column("passed", justify="right")
    table.add_column("failed", justify="right")
    table.add_column("if it fails")
    for name in sorted(blocking):
        n_failed = sum(check.name == name for check in failed)
        kind = "blocks" if blocking[name] else "warns"
        table.add_row(name, str(passed[name]), str(n_failed), kind, style="red" if n_failed else None)
    out.print(table)
    print_failed(failed)


def print_failed(failed: Sequence[Any]) -> None:
    """Red blocking checks one by one; warnings one line a check and asset, with the first partition's words."""
    for check in failed:
        if check.is_blocking:
            where = f"{check.asset}[{check.partition}]"
            err.print(f"red      {check.name} of {where}: {check.description}", style="red", markup=False)
    warnings: dict[tuple[str, str], list[Any]] = {}
    for check in failed:
        if not check.is_blocking:
            warnings.setdefault((check.name, check.asset), []).append(check)
    for (name, asset), checks in warnings.items():
        more = f" (and {len(checks) - 1} partitions more)" if len(checks) > 1 else ""
        line = f"warning  {name} of {asset}[{checks[0].partition}]: {checks[0].description}{more}"
        err.print(line, style="yellow", markup=False)


def print_next(root: str, catalog: Path | None, home: Path, sources_file: Path) -> None:
    """Where to look next."""
    out.print(f"\nlake      {root}")
    if catalog is not None:
        out.print(f"SQL       duckdb {catalog}    -- FROM mixture__mathcode_pile LIMIT 5")
    out.print(f"UI        MATHCODE_SOURCES={sources_file} MATHCODE_ROOT={root} DAGSTER_HOME={home.absolute()} dg dev")
    out.print("trace     mathcode trace ID" + ("" if root.endswith(DEFAULT_OUTPUT) else f" --lake {root}"))


def run_export(arguments: argparse.Namespace) -> int:
    """Write the published pile as a hub-shaped data set, refused while it holds what was taken down; or the model."""
    from mathcode_assets.defs.takedown import still_in_pile
    from mathcode_assets.mixture.data_card import DataCard
    from mathcode_assets.mixture.export import export_hub_dataset
    from mathcode_assets.storage.filesystem import open_filesystem

    lake = open_lake(arguments.lake)
    if arguments.model:
        return export_model(lake, Path(arguments.output))
    pile = lake.table("mixture/mathcode_pile")
    manifest = pile.manifest()
    if left := still_in_pile(lake, pile):
        raise UsageError(f"{len(left)} documents of the pile were taken down since; build it again first")
    card = lake.table("mixture/data_card")
    filesystem, root = open_filesystem(arguments.output)
    minimal = DataCard(components=(), tokenizer=manifest.tokenizer or "", licences=manifest.facts["licences"])
    files = export_hub_dataset(pile.batches(), card=minimal, fs=filesystem, root=root)
    with filesystem.open(f"{root}/README.md", "wb") as stream:
        stream.write(card.files()[0].read_bytes())
    for file in files:
        out.print(f"{file.path}  {file.n_rows:,} rows")
    return 0


def export_model(lake: Any, output: Path) -> int:
    """The published checkpoint in a new folder.

    Raises:
        UsageError: the folder is there already.
    """
    if output.exists():
        raise UsageError(f"{output} is there already")
    checkpoint = lake.table("checkpoint/mathcode_pile")
    lake.fetch_folder(checkpoint, output)
    facts = checkpoint.manifest().facts
    out.print(f"{output}  {facts['steps']:,} steps on {facts['corpus_fingerprint'][:12]}", markup=False)
    return 0


def run_trace(arguments: argparse.Namespace) -> int:
    """Print the way of every document an id names."""
    from mathcode_assets.provenance.trace import render_trace, trace
    from mathcode_assets.provenance.usage import render_usage, usage_of
    from mathcode_assets.storage.catalog import open_catalog
    from mathcode_assets.storage.filesystem import locate

    lake = open_lake(arguments.lake)
    found = trace(open_catalog(lake), arguments.id)
    if not found:
        raise UsageError(f"no document {arguments.id!r} in {arguments.lake}")
    doc_ids = {doc_id for way in found for doc_id in (way.doc_id, *way.made_into)}
    usage = usage_of(lake, doc_ids, runs=locate(arguments.runs) if arguments.runs else None)
    for way in found:
        out.print(render_trace(way) + render_usage(usage, way.doc_id), markup=False)
        for doc_id in way.made_into:
            if told := render_usage(usage, doc_id):
                out.print(f"what was translated from it, {doc_id}:\n{told}", markup=False)
    return 0


def run_catalog(arguments: argparse.Namespace) -> int:
    """Write the DuckDB catalog of a lake."""
    from mathcode_assets.storage.catalog import CATALOG_NAME, write_catalog

    lake = open_lake(arguments.lake)
    path = Path(arguments.output) if arguments.output else None
    path = write_catalog(lake, path) or write_catalog(lake, Path(CATALOG_NAME))
    out.print(f"duckdb {path}")
    if not lake.root.is_local:
        out.print("its views are read through httpfs: CREATE SECRET (TYPE s3, PROVIDER credential_chain)")
    return 0


def open_lake(uri: str) -> Any:
    """The lake at a URI.

    Raises:
        StorageError: its store cannot be reached or refuses.
    """
    from mathcode_assets.storage.lake import Lake

    lake = Lake(uri)
    lake.root.check_reachable()
    return lake
