"""Sensors: what lies at the address of each source is compared with what Dagster has recorded of it.

A difference asks for one run of the source's observe job, which adds and removes partitions and records
the fingerprints; the conditions go on from there. It is the state that is compared, not what the sensor
saw last: a look that fails, a run that dies or a daemon that was off loses nothing, for the difference is
still there at the next look. Decision 0026.

All are off until somebody turns them on: observing removes what was made from files that are gone.
"""

# No postponed annotations: Dagster reads the type of the resource.
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from mathcode_assets.config import SOURCE_KEYS, SourcesFileError, load_sources
from mathcode_assets.defs.assets.sources import (
    BENCHMARKS,
    LISTING,
    Differences,
    differences,
    versions_now,
    warning_of,
)
from mathcode_assets.defs.automation import SECTION, AutomationSettings
from mathcode_assets.defs.conditions_sensor import ConditionsSensor
from mathcode_assets.defs.jobs import OBSERVE_JOBS
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.manifest import digest

WATCHED = (*SOURCE_KEYS, BENCHMARKS, LISTING)
# Dagster's own name for the sensor that evaluates the conditions; `automation_sensor` gives it our interval.
CONDITIONS = "default_automation_condition_sensor"
SETTINGS_SENSOR = "watch_sources_file"
# On the runs that a sensor asks for: which difference they are to record, and what it is in words.
DIFFERENCE_TAG = "mathcode/difference"
SUMMARY_TAG = "mathcode/found"
# Runs for one and the same difference. A job that failed so often will not succeed by being asked again.
MAX_TRIES = 3
SHOWN = 5


class NotObserved(RuntimeError):
    """What lies at a source cannot be recorded; names the source and the last run."""


def sensor_name(source: str) -> str:
    """Name of the sensor of a source."""
    return f"watch_{source}"


def sensors(settings: AutomationSettings, reconcile: dg.JobDefinition) -> list[dg.SensorDefinition]:
    """One sensor a source, one for the sources file, and the one that evaluates the conditions."""
    return [
        *(_watch(source, settings) for source in WATCHED),
        _watch_settings(settings, reconcile),
        ConditionsSensor(
            CONDITIONS,
            evaluate_anyway_s=settings.evaluate_anyway_s,
            target=dg.AssetSelection.all(),
            minimum_interval_seconds=settings.tick_every_s,
            # Runs of backfills have no check in them that is a step of its own, and the daemon looks at backfills
            # only twice a minute.
            emit_backfills=False,
            description="Evaluates the conditions of all assets and asks for runs.",
        ),
    ]


def settings_of(sources_file: str | Path) -> AutomationSettings:
    """Section `automation` of the settings; the defaults where the file cannot be used, which each look then says."""
    try:
        return Workspace(load_sources(sources_file)).settings(SECTION, AutomationSettings)
    except SourcesFileError:
        return AutomationSettings()


def _watch(source: str, settings: AutomationSettings) -> dg.SensorDefinition:
    @dg.sensor(
        name=sensor_name(source),
        job=OBSERVE_JOBS[source],
        minimum_interval_seconds=settings.list_every_s,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Asks for a look at {source} when it is not as it was recorded: files new, changed or gone.",
    )
    def watch(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult:
        return look(context.instance, workspace.open(), source, cursor=context.cursor, log=context.log.warning)

    return watch


def look(
    instance: dg.DagsterInstance, workspace: Workspace, source: str, *, cursor: str | None = None, log=lambda text: None
) -> dg.SensorResult:
    """Compare a source with its record, and ask for a run of its observe job where they differ.

    Args:
        instance: Dagster's record.
        workspace: as the sources file is now.
        source: one of WATCHED.
        cursor: names the state that was found recorded last; only spares the comparison.
        log: told of a source with too many partitions.

    Raises:
        SourceListingError: it cannot be listed; names the source. Nothing is lost: the next look compares again.
        NotObserved: its observe job has failed several times on what lies there.
    """
    workspace.settings(SECTION, AutomationSettings)  # a mistake there is to be seen
    versions = versions_now(instance, workspace, source)
    if warning := warning_of(source, versions):
        log(warning)
    state = f"{digest(dict(versions))[:16]}@{_last_observation(instance, source)}"
    if state == cursor:
        return dg.SensorResult(skip_reason=f"{source}: nothing new", cursor=state)
    found = differences(instance, source, versions)
    if not found:
        return dg.SensorResult(skip_reason=f"{source}: all is recorded", cursor=state)
    # The runs say whether this difference was asked for: also those of a daemon that died before it could note it.
    runs = instance.get_runs(filters=dg.RunsFilter(tags={DIFFERENCE_TAG: f"{source}:{state}"}))
    waiting = [run for run in runs if not run.is_finished]
    if waiting:
        return dg.SensorResult(skip_reason=f"{source}: {found}; run {waiting[0].run_id} is about it", cursor=cursor)
    if len(runs) >= MAX_TRIES:
        raise NotObserved(f"{source}: {found}, but {len(runs)} runs did not record it; the last is {runs[0].run_id}")
    request = dg.RunRequest(
        run_key=f"{source}:{state}:{len(runs)}",
        tags={DIFFERENCE_TAG: f"{source}:{state}", SUMMARY_TAG: _in_words(found)},
    )
    return dg.SensorResult(run_requests=[request], cursor=cursor)


def _watch_settings(settings: AutomationSettings, reconcile: dg.JobDefinition) -> dg.SensorDefinition:
    @dg.sensor(
        name=SETTINGS_SENSOR,
        job=reconcile,
        minimum_interval_seconds=settings.list_every_s,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for a reconciliation when the settings of the sources file change: no source tells of those.",
    )
    def watch(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult:
        version = digest(_settings(workspace.open()))[:16]
        if context.cursor is None or context.cursor.split(":")[0] == version:
            cursor = context.cursor or f"{version}:0"
            return dg.SensorResult(skip_reason="the settings are as they were", cursor=cursor)
        cursor = f"{version}:{int(context.cursor.split(':')[1]) + 1}"
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=cursor)], cursor=cursor)

    return watch


def _settings(workspace: Workspace) -> Mapping[str, object]:
    """What of the sources file changes a table without changing a file of a source."""
    sources = {
        key: [spec.licence, sorted(spec.accept_contaminated), list(spec.labels)]
        for key, spec in workspace.sources.sources.items()
    }
    return {"sources": sources, "settings": {key: dict(value) for key, value in workspace.sources.settings.items()}}


def _last_observation(instance: dg.DagsterInstance, source: str) -> int:
    """Storage id of the newest record of a source, 0 where there is none."""
    records = instance.fetch_observations(dg.AssetKey(["source", source]), limit=1).records
    return records[0].storage_id if records else 0


def _in_words(found: Differences) -> str:
    names = [*found.new, *found.changed, *found.removed]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{found}: {', '.join(names[:SHOWN])}{more}"
