"""When assets are built without being asked: data versions flow, and nothing passes a red check.

Three traps shape the conditions (each has a test): Dagster's `all_deps_blocking_checks_passed` lets
a shard through when another shard's check passed; `eager` rebuilds on every re-materialization, also
of the same bytes; and a check that has not run yet must count as not passed.
"""

from __future__ import annotations

import dagster as dg

_AC = dg.AutomationCondition

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
        above = dg.AssetSelection.assets(*(dg.AssetKey(key.split("/")) for key in inputs_of_inputs))
        under_way = under_way | _AC.any_deps_match(_AC.will_be_requested() | _BEHIND).allow(above)
    return (
        _AC.eager().replace("any_deps_updated", _AC.any_deps_match(_AC.data_version_changed()))
        & ~_AC.any_deps_match(under_way)
        & CHECKS_PASSED
    ).with_label("an input's data changed, nothing above is under way, and blocking checks passed")
