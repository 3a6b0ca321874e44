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
