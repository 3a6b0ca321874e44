"""A lake with a small packed table, and a code location that has nothing but the checkpoint."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from mathcode_assets.config import load_sources
from mathcode_assets.defs.assets.checkpoint import CHECKPOINT_KEY, SUMMARY_FILE, checkpoint, published_json
from mathcode_assets.defs.assets.mixture import PILE_KEY
from mathcode_assets.defs.assets.tokens import PACKED_KEY, TOKENS_KEY
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets.training.processes import TOKEN_VARIABLE
from mathcode_assets.training.run_folder import RunFolder, read_metrics
from mathcode_assets_tests.training.jobs import PATIENCE_S, job
from mathcode_assets_tests.training.packed_folder import write_packed_folder

CHECKPOINT = dg.AssetKey(CHECKPOINT_KEY.split("/"))
STEPS = 10


def settings(**sections: Any) -> dict[str, Any]:
    """Section `training`: ten steps of a very small model, a checkpoint every other step."""
    given = job(Path("data"), Path("output"), duration={"steps": STEPS}, checkpoints={"every_steps": 2})
    own = {name: value for name, value in given.items() if name not in ("data", "output", "lineage")}
    changed = sections.pop("job", {})
    for name, value in changed.items():
        own[name] = {**own[name], **value} if isinstance(own.get(name), Mapping) else value
    return {"job": own, **sections}


@dataclass(frozen=True)
class TrainingLake:
    """A lake, the folder of its sources file, and Dagster's record of it."""

    folder: Path
    instance: dg.DagsterInstance

    @property
    def sources_file(self) -> Path:
        return self.folder / "sources.yaml"

    def configure(self, section: Mapping[str, Any]) -> TrainingLake:
        """Write the sources file."""
        text = {"root": str(self.folder / "lake"), "sources": {}, "settings": {"training": dict(section)}}
        self.sources_file.write_text(yaml.safe_dump(json.loads(json.dumps(text))))
        return self

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_sources(self.sources_file))

    @property
    def table(self) -> Table:
        return self.workspace.lake.table(CHECKPOINT_KEY)

    @property
    def summary(self) -> dict[str, Any]:
        """training.json as published."""
        return published_json(self.table, SUMMARY_FILE)

    def pack(self, *, seed: int = 0) -> TrainingLake:
        """Publish a packed table, with stand-ins for what it is made of."""
        data = write_packed_folder(self.folder / f"packed-{seed}", seed=seed)
        for key, source in ((PILE_KEY, data), (TOKENS_KEY, data), (PACKED_KEY, data)):
            publish(self.workspace, key, source)
        return self

    def materialize(self, **options: Any) -> dg.ExecuteInProcessResult:
        """One run of the asset in this process."""
        return dg.materialize(
            [checkpoint.definition()],
            instance=self.instance,
            resources={"workspace": WorkspaceResource(sources_file=str(self.sources_file))},
            **options,
        )

    def metadata(self, result: dg.ExecuteInProcessResult) -> dict[str, Any]:
        """What the materialization says."""
        (event,) = result.asset_materializations_for_node("__".join(CHECKPOINT.path))
        return {name: value.value for name, value in event.metadata.items()}

    def observations(self) -> list[dict[str, Any]]:
        """Observations of the asset, oldest first."""
        found = self.instance.fetch_observations(CHECKPOINT, limit=1000).records
        return [
            {name: value.value for name, value in record.asset_observation.metadata.items()}
            for record in reversed(found)
            if record.asset_observation is not None
        ]

    def runs(self) -> list[Path]:
        """The run folders there are."""
        return sorted((self.folder / "lake" / ".training" / "runs").glob("*"))


def publish(workspace: Workspace, key: str, folder: Path, facts: Mapping[str, Any] | None = None) -> None:
    """A folder as a table; packing.json gives the facts."""
    if facts is None:
        info = json.loads((folder / "packing.json").read_text())
        facts = {name: info[name] for name in ("n_sequences", "n_tokens", "length", "corpus_fingerprint")}
    workspace.lake.publish_folder(
        workspace.lake.table(key),
        folder=folder,
        recipe=Recipe(code_version="1", config={"made_from": folder.name}),
        accounting=Accounting(n_in=1, n_kept=1),
        facts=facts,
    )


class watching:
    """While inside: calls something once, in a thread, when the run has made so many steps."""

    def __init__(self, lake: TrainingLake, steps: int, then: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=self._watch, args=(lake, steps, then))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._thread.join()

    def _watch(self, lake: TrainingLake, steps: int, then: Callable[[], None]) -> None:
        wait_for(lambda: bool(lake.runs()) and len(read_metrics(RunFolder(lake.runs()[0]))) >= steps)
        then()


def end_workers(lake: TrainingLake) -> None:
    """kill -9 the worker of the run, not its torchrun."""
    folder = str(lake.runs()[0]).encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(folder) for word in words) and b"torch.distributed.run" not in words:
            os.kill(int(path.parent.name), signal.SIGKILL)


def launch_tokens(pid: int) -> set[str]:
    """Launch tokens of the children of a process."""
    found = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        for variable in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            if variable.startswith(TOKEN_VARIABLE.encode() + b"="):
                found.add(variable.decode().split("=", 1)[1])
    return found


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
