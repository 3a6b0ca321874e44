"""When assets are built without being asked: data versions flow, and nothing passes a red check.

Three traps shape the conditions (each has a test): Dagster's `all_deps_blocking_checks_passed` lets
a shard through when another shard's check passed; `eager` rebuilds on every re-materialization, also
of the same bytes; and a check that has not run yet must count as not passed.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import dagster as dg

_AC = dg.AutomationCondition
SECTION = "automation"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationSettings:
    """Section `automation` of the settings; the two intervals count from the next start of the code location.

    list_every_s: between two looks of a sensor at its source. A listing of an object store costs a request a thousand
        files, and a partition is minutes to an hour of work, so some minutes more or less are nothing.
    tick_every_s: between two ticks of the conditions; Dagster's own default.
    evaluate_anyway_s: after which they are evaluated also where nothing happened (`conditions_sensor.py`).
    reconcile_partitions: that one reconciliation asks for at most; the next one goes on.
    reconcile_after_s: what changed less long ago is left to the conditions, which may be about to ask for it.
    """

    list_every_s: int = 300
    tick_every_s: int = 30
    evaluate_anyway_s: int = 600
    reconcile_partitions: int = 500
    reconcile_after_s: int = 600

    def __post_init__(self) -> None:
        for name in ("list_every_s", "tick_every_s", "evaluate_anyway_s", "reconcile_partitions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: wants 1 or more, got {getattr(self, name)}")


# No blocking check of an input is anything but passed on its latest materialization.
CHECKS_PASSED = ~_AC.any_deps_match(_AC.any_checks_match(~_AC.check_passed(), blocking_only=True))

# Missing, or an input's data version changed since the last request; inputs complete and checked.
BUILD_WHEN_CHANGED = (_AC.eager().replace("newly_updated", _AC.data_version_changed()) & CHECKS_PASSED).with_label(
    "an input's data changed, and its blocking checks passed"
)

# An input's data changed since. By data version, not by materialization: what was made again with
# the same bytes asks for nothing.
_BEHIND = _AC.any_deps_match(_AC.data_version_changed()).since(_AC.newly_updated())


def build_when_settled(*inputs_of_inputs: str) -> dg.AutomationCondition[dg.AssetKey]:
    """As BUILD_WHEN_CHANGED, but only once nothing above is under way.

    For what joins branches: it must not be made from new documents and the verdicts on old ones.
    An input that is about to be made, or is older than one of its own inputs, is waited for; so is
    one whose input `inputs_of_inputs` is.
    """
    under_way = _AC.will_be_requested() | _BEHIND
    if inputs_of_inputs:
        under_way = under_way | _AC.any_deps_match(_AC.will_be_requested() | _BEHIND).allow(_assets(inputs_of_inputs))
    return (
        _AC.eager().replace("any_deps_updated", _AC.any_deps_match(_AC.data_version_changed()))
        & ~_AC.any_deps_match(under_way)
        & CHECKS_PASSED
    ).with_label("an input's data changed, nothing above is under way, and blocking checks passed")


def check_when(
    asset: str, at_once: Sequence[str], once_settled: Sequence[str] = (), between: Sequence[str] = ()
) -> dg.AutomationCondition[dg.AssetCheckKey]:
    """For a check that is no part of its asset's step: in the run that makes the asset, and again later.

    Dagster's own `eager` asked for no partitioned check under a real daemon, and a run that the conditions ask for
    has the checks in it that were asked for in the same tick, and no others. So a blocking check of its own would
    never run, and what is behind it would wait for ever. What was made without its check (by a backfill, or by
    a run that died) is seen by the state of the check, which no event can miss.

    Args:
        asset: key of the asset that is checked.
        at_once: what the check compares with, and turns red by before the asset is made again.
        once_settled: what the asset is made from, directly or not. After a change there the check waits until nothing
            is behind it any more: before, it would find the asset stale, which everybody knows.
        between: the asset's inputs that are made from it, where the asset itself is not.
    """
    own = dg.AssetSelection.assets(dg.AssetKey(asset.split("/")))
    with_it = _AC.any_deps_match(_AC.will_be_requested()).allow(own)
    not_run = ~_AC.check_passed() & ~_AC.check_failed() & ~_AC.in_progress() & ~_AC.execution_failed()
    again = not_run | _AC.any_deps_match(_AC.newly_updated()).allow(_assets(at_once))
    if once_settled:
        under_way = _AC.will_be_requested() | _AC.in_progress() | _BEHIND
        above = [_AC.any_deps_match(under_way).allow(_assets(between))] if between else []
        settled = ~_AC.any_deps_match(reduce(operator.or_, above, under_way)).allow(own)
        changed = _AC.any_deps_match(_AC.newly_updated()).allow(_assets(once_settled))
        again = again | (changed.since(_AC.newly_requested() | _AC.newly_updated()) & settled)
    return (with_it | (again & ~_AC.any_deps_missing() & ~_AC.any_deps_in_progress())).with_label(
        "its asset is being made, was made without it, or what it compares with changed"
    )


def train_when(pile: str, lineage: Sequence[str]) -> dg.AutomationCondition[dg.AssetKey]:
    """The gate of training, for an asset that depends on the packed sequences.

    Wanted once an input's data changed (or nothing was ever trained), and granted when the pile is within its
    freshness policy and nothing that it is made from is under way, behind its own inputs, or has a blocking
    check that is anything but passed. A request uses the wish up; a change in the very tick of the request
    does not count as used. The asset still has to ask storage: `currency.require_current`. Where that
    withheld it (or training failed), the wish is renewed as soon as something of the lineage is made or
    checked again, for that may have been what was missing.

    Args:
        pile: key of the asset whose freshness policy counts.
        lineage: keys of all assets that the input is made from, and the input's own.
    """
    changed = _AC.any_deps_match(_AC.data_version_changed())
    moved = _any_of(lineage, _AC.newly_updated() | _AC.any_checks_match(_AC.newly_updated(), blocking_only=True))
    wanted = _AC.newly_missing() | changed | (_AC.execution_failed() & moved)
    red = _AC.any_checks_match(~_AC.check_passed(), blocking_only=True)
    unsettled = _any_of(lineage, _AC.in_progress() | _AC.will_be_requested() | _BEHIND | red)
    return (
        # Not `since_last_handled`: it forgets what changed while the training before was under way.
        wanted.since(_AC.newly_requested() & ~changed).with_label("not trained on what is there now")
        & ~_AC.any_deps_missing()
        & ~_AC.in_progress()
        & ~unsettled.with_label("something above is under way, behind its inputs, or not checked")
        & _AC.asset_matches(dg.AssetKey(pile.split("/")), _AC.freshness_passed())
    ).with_label("the pile changed, is fresh and settled, and every blocking check above it passed")


def _assets(keys: Sequence[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(dg.AssetKey(key.split("/")) for key in keys))


def _any_of(keys: Sequence[str], condition: dg.AutomationCondition[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """True if the condition holds for any of the assets, in any partition."""
    first, *rest = (_AC.asset_matches(dg.AssetKey(key.split("/")), condition) for key in keys)
    return reduce(operator.or_, rest, first)
