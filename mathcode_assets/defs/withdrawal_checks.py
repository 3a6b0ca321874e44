"""Blocking checks on the pile: nothing outside the licence policy is in it, and nothing that was taken down."""

from __future__ import annotations

from collections import Counter

from mathcode_assets.defs.table_assets import Outcome, TableCheck
from mathcode_assets.defs.takedown import still_in_pile
from mathcode_assets.defs.withdrawal import policy_of, take_downs
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Manifest

SHOWN = 10


def _licence_policy(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    policy = policy_of(workspace)
    if policy.is_open:
        return Outcome(passed=True, description="no policy: the sources file has no settings.licences")
    licences: Counter[str] = Counter()
    for batch in table.batches(columns=["licence"]):
        licences.update(batch.column("licence").to_pylist())
    refused = {licence: n for licence, n in sorted(licences.items()) if not policy.permits(licence)}
    n_refused = sum(refused.values())
    shown = ", ".join(f"{licence} {n:,}" for licence, n in list(refused.items())[:SHOWN])
    return Outcome(
        passed=not refused,
        description=f"{n_refused:,} of {licences.total():,} documents have a licence outside the policy"
        + (f": {shown}" if refused else ""),
        metadata={"refused": n_refused, "licences": len(licences)},
    )


def _not_taken_down(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    asked = take_downs(workspace.lake)
    found = still_in_pile(workspace.lake, table) if asked else []
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return Outcome(
        passed=not found,
        description=f"{len(found)} documents are in the pile although they were taken down: {', '.join(found[:SHOWN])}"
        f"{more}; run `mathcode take-down --refresh`, then build again"
        if found
        else f"{len(asked.selectors)} requests to take down hold, and nothing that they mean is in the pile",
        metadata={"found": len(found), "requests": len(asked.selectors)},
    )


LICENCE_POLICY = TableCheck(
    name="licence_policy",
    description="No document of the pile has a licence that the sources file's policy refuses.",
    evaluate=_licence_policy,
    blocking=True,
)
NOT_TAKEN_DOWN = TableCheck(
    name="not_taken_down",
    description="No document of the pile is one that was taken down, the same text as one, or made of one.",
    evaluate=_not_taken_down,
    blocking=True,
)
