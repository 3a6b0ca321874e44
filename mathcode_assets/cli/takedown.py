"""`mathcode take-down`: documents leave the pile for good, and a record stays.

mathcode take-down --url "https://example.org/blog/*" --dry-run
mathcode take-down --url "https://example.org/blog/*" --asked-by NAME --reason TEXT --date 2026-11-22
mathcode take-down --list
"""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

from mathcode_assets.cli.console import UsageError, err, out

if TYPE_CHECKING:
    from mathcode_assets.defs.takedown import Plan
    from mathcode_assets.storage.lake import Lake

DEFAULT_LAKE = "lake"
DOCUMENTS_SHOWN = 20
SELECTORS = {
    "document": ("ID", "a doc_id, or the id that a source gives the document"),
    "url": ("URL", "the address of a page, or of all that begin so where it ends with *"),
    "repository": ("OWNER/NAME", "all files of a repository"),
    "licence": ("NAME", "all documents under a licence, as the sources spell it"),
}
RECORDED = ("asked_by", "reason", "date")


def add_commands(commands: Any) -> None:
    """Add the subcommand of this module."""
    parser = commands.add_parser("take-down", help="take documents out of the pile, for good and on record")
    what = parser.add_mutually_exclusive_group(required=True)
    for name, (metavar, text) in SELECTORS.items():
        what.add_argument(f"--{name}", metavar=metavar, help=text)
    what.add_argument("--undo", metavar="REQUEST", help="the documents of a request come back; both stay on record")
    what.add_argument("--list", action="store_true", help="every request on record")
    what.add_argument(
        "--refresh", action="store_true", help="look again for the texts of the requests that hold, in newer shards"
    )
    parser.add_argument("--lake", default=DEFAULT_LAKE, metavar="URI", help="root of the lake (default: lake)")
    parser.add_argument("--dry-run", action="store_true", help="say what would leave, and write nothing")
    parser.add_argument("--asked-by", metavar="WHO", help="who wants it; for the record")
    parser.add_argument("--reason", metavar="TEXT", help="why; for the record")
    parser.add_argument("--date", metavar="YYYY-MM-DD", help="of the request; for the record")
    parser.add_argument("--runs", metavar="DIR", help="the run folders of trainings (default: .training in the lake)")
    parser.set_defaults(run=run_take_down)


def run_take_down(arguments: argparse.Namespace) -> int:
    """0 done, 1 where nothing has that name, 2 bad usage."""
    from mathcode_assets.storage.lake import Lake

    lake = Lake(arguments.lake)
    lake.root.check_reachable()
    if not lake.root.exists():
        raise UsageError(f"no lake at {arguments.lake}")
    if arguments.list:
        return print_requests(lake)
    if arguments.refresh:
        return run_refresh(lake)
    if arguments.undo:
        return run_undo(lake, arguments)
    return run_request(lake, arguments)


def run_request(lake: Lake, arguments: argparse.Namespace) -> int:
    """A new request, or a look at what it would do."""
    from mathcode_assets.defs.takedown import look_up, plan_of, record
    from mathcode_assets.provenance.selection import Selector
    from mathcode_assets.storage.filesystem import locate

    kind = next(name for name in SELECTORS if getattr(arguments, name) is not None)
    try:
        selector = Selector(kind=kind, value=getattr(arguments, kind))
    except ValueError as error:
        raise UsageError(str(error)) from error
    given = {} if arguments.dry_run else for_the_record(arguments)
    rows = look_up(lake, selector)
    if not rows:
        err.print(f"no document of {arguments.lake} has the {kind} {selector.value!r}", markup=False)
        return 1
    plan = plan_of(lake, selector, rows, runs=locate(arguments.runs) if arguments.runs else None)
    print_plan(plan)
    if arguments.dry_run:
        out.print("dry run: nothing was written")
        return 0
    name = record(lake, plan, **given)
    out.print(f"request {name} is on record; `mathcode run` makes the shards above again, and the pile of them")
    out.print(f"to undo it: mathcode take-down --undo {name} --asked-by WHO --reason TEXT --date YYYY-MM-DD")
    return 0


def run_undo(lake: Lake, arguments: argparse.Namespace) -> int:
    """The documents of a request come back."""
    from mathcode_assets.defs.takedown import undo
    from mathcode_assets.defs.withdrawal import requests

    if arguments.dry_run:
        raise UsageError("--dry-run says what a request would do; an undoing brings back what --list counts")
    given = for_the_record(arguments)
    if arguments.undo not in {request.id for request in requests(lake)}:
        err.print(f"no request {arguments.undo} is on record in {arguments.lake}", markup=False)
        return 1
    try:
        undo(lake, arguments.undo, **given)
    except KeyError as error:
        raise UsageError(str(error.args[0])) from error
    out.print(f"request {arguments.undo} holds no longer; `mathcode run` brings its documents back")
    return 0


def run_refresh(lake: Lake) -> int:
    """Record the texts of requests that newer shards have under other addresses."""
    from mathcode_assets.defs.takedown import refresh

    added = refresh(lake)
    for name, n_documents in added.items():
        out.print(f"request {name}: {n_documents} documents more")
    out.print("`mathcode run` makes their shards again" if added else "nothing new of the requests that hold")
    return 0


def for_the_record(arguments: argparse.Namespace) -> dict[str, str]:
    """Who asked, why and when.

    Raises:
        UsageError: one of them is missing, or the date is none.
    """
    missing = [name for name in RECORDED if not (getattr(arguments, name) or "").strip()]
    if missing:
        raise UsageError(
            f"{', '.join('--' + name.replace('_', '-') for name in missing)}: is kept on record, and missing"
        )
    try:
        datetime.date.fromisoformat(arguments.date)
    except ValueError as error:
        raise UsageError(f"--date: wants YYYY-MM-DD, got {arguments.date!r}") from error
    return {name: getattr(arguments, name) for name in RECORDED}


def print_plan(plan: Plan) -> None:
    """What a request takes out."""
    by_reason = Counter(row["why"] for row in plan.rows)
    words = ", ".join(f"{n:,} {why.replace('_', ' ')}" for why, n in sorted(by_reason.items()))
    out.print(f"{len(plan.rows):,} documents ({words})")
    for row in plan.rows[:DOCUMENTS_SHOWN]:
        why, tokens = row["why"].replace("_", " "), f"{row['n_tokens']:,} tokens of the pile"
        out.print(f"    {row['doc_id']}  {why}  {row['table']}[{row['shard']}]  {tokens}", markup=False)
        out.print(f"        {row['source_uri']}  {row['licence']}", markup=False)
    if len(plan.rows) > DOCUMENTS_SHOWN:
        out.print(f"    and {len(plan.rows) - DOCUMENTS_SHOWN:,} more")
    out.print(f"leaves the pile  {plan.n_in_pile:,} documents, {plan.n_tokens:,} tokens")
    out.print(f"made again       {', '.join(plan.shards) or 'nothing'}", markup=False)
    for doc_id in plan.near:
        out.print(f"near copy        {doc_id}: another text, so not taken down with them; name it if it should be")
    for model in plan.models:
        out.print(f"model            {model_in_words(model)}", markup=False)


def print_requests(lake: Lake) -> int:
    """Every request on record, with what was undone and which models held its documents."""
    from mathcode_assets.defs.withdrawal import requests

    found = requests(lake)
    for request in found:
        out.print(f"{request.id}  {request.date}  {request.selector.kind} {request.selector.value}", markup=False)
        out.print(f"    asked by {request.asked_by}: {request.reason}", markup=False)
        out.print(f"    {request.n_documents:,} documents of the pile then, {request.n_tokens:,} tokens")
        for model in request.models:
            out.print(f"    {model_in_words(model)}", markup=False)
        if request.undone is not None:
            told = request.undone
            out.print(f"    undone {told['date']}, asked by {told['asked_by']}: {told['reason']}", markup=False)
    if not found:
        out.print("no request is on record")
    return 0


def model_in_words(model: Any) -> str:
    """What is known of a model and the documents of a request."""
    if model["holds"] == "contains":
        return f"{model['name']} ({model['status']}) was trained on {model['n_documents']:,} of them"
    return f"{model['name']} ({model['status']}) may hold them: its packed corpus {model['corpus'][:12]} is gone"
