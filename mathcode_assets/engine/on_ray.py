"""Work mapped over an existing Ray cluster: tasks by resource request, nothing started or stopped of Ray's own.

The package must be importable on the cluster's machines, in the same version, and what items and results name must
be there: `reach` asks every machine before any work.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mathcode_assets.engine.exchange import ATTEMPTS, WorkerDied, answer_to, request_of, result_of
from mathcode_assets.engine.mapping import Describe, Item, Lost, Result
from mathcode_assets.engine.settings import CORES_VARIABLE, EngineSettings

# Tasks handed to Ray ahead of their turn, for each that runs.
WINDOW = 4
REACH_TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 10.0
_DISTRIBUTION = "mathcode-assets"


class RayUnreachable(RuntimeError):
    """No Ray here, no cluster at the address, or one that cannot do the work; says what is wrong."""


class RayEngine:
    """Tasks on a cluster that is there already.

    Raises:
        RayUnreachable: no cluster at the address, or Ray is not installed here.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._ray = connected(settings.ray_address)
        cpus = self._ray.cluster_resources().get("CPU", 0.0)
        self.n_workers = settings.workers or max(1, int(cpus / settings.cpus_per_task))
        self._cores = max(1, int(settings.cpus_per_task))

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        describe: Describe = str,
        lost: Lost[Item, Result] | None = None,
    ) -> Iterator[Result]:
        """See `mapping.Engine`."""
        ahead = WINDOW * self.n_workers
        under_way: deque[tuple[Any, Item]] = deque()
        task = self._task(num_cpus=self._settings.cpus_per_task)

        def first_result() -> Result:
            reference, item = under_way[0]
            try:
                result = self._result(reference, describe(item))
            except WorkerDied as died:
                if lost is None:
                    raise
                result = lost(item, died)
            under_way.popleft()
            return result

        try:
            for item in items:
                under_way.append((task.remote(request_of(function, item), self._cores), item))
                if len(under_way) >= ahead:
                    yield first_result()
            while under_way:
                yield first_result()
        finally:
            self._cancel([reference for reference, _ in under_way])

    def reach(self, folder: Path | None) -> None:
        """Ask every machine of the cluster whether it can do the work.

        Args:
            folder: that every machine has to see; None where the work is on an object store.

        Raises:
            RayUnreachable: a machine without the package or with another version of it, or without the folder.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        others = sorted({node["NodeManagerHostname"] for node in nodes} - {socket.gethostname()})
        if folder is not None and others and not self._settings.shared_paths:
            raise RayUnreachable(
                f"the lake {folder} is a folder of {socket.gethostname()}, but the Ray cluster has machines of its own "
                f"({', '.join(others)}): put it on an object store, or say settings.engine.shared_paths: true where "
                "every machine has this folder under this path"
            )
        version = _own_version()
        for node in nodes:
            where = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            asked = self._task(num_cpus=0, scheduling_strategy=where, max_retries=0)
            request = request_of(_look, str(folder) if folder else "")
            found, has_folder = self._result(
                asked.remote(request, self._cores),
                f"{node['NodeManagerHostname']} of the cluster",
                timeout_s=REACH_TIMEOUT_S,
            )
            if found != version:
                raise RayUnreachable(f"{node['NodeManagerHostname']} has {_DISTRIBUTION} {found}, here is {version}")
            if not has_folder:
                raise RayUnreachable(f"{node['NodeManagerHostname']} of the Ray cluster has no folder {folder}")

    def _task(self, **options: Any) -> Any:
        # Ray sets the threads of libraries to the task's processors itself. An environment by `runtime_env` would
        # start workers of its own for each setting, through an agent that a small cluster may not have.
        return self._ray.remote(**{"max_retries": ATTEMPTS - 1, **options})(_answer)

    def _result(self, reference: Any, described: str, timeout_s: float | None = None) -> Any:
        from ray import exceptions

        try:
            return result_of(self._ray.get(reference, timeout=timeout_s), described)
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.NodeDiedError) as error:
            reason = " ".join(str(error).split())[:300]
            raise WorkerDied(f"{described}: the process working on it ended {ATTEMPTS} times: {reason}") from None
        except exceptions.GetTimeoutError:
            raise RayUnreachable(f"{described} did not answer within {timeout_s:g} s") from None
        except exceptions.RayTaskError as error:
            # The task itself raises nothing: it could not even be imported.
            reason = " ".join(str(error.cause).split()) if error.cause else " ".join(str(error).split())[-300:]
            raise RayUnreachable(f"{described}: mathcode-assets cannot be imported on the cluster: {reason}") from None

    def _cancel(self, references: Sequence[Any]) -> None:
        for reference in references:
            with contextlib.suppress(Exception):  # done, failed or gone: nothing to end any more
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster; it stays as it is."""
        self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connected(address: str) -> Any:
    """Ray, connected to the cluster at an address; a process is connected to one at a time.

    Raises:
        RayUnreachable: Ray is not installed here, or nobody answers at the address.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise RayUnreachable("a Ray cluster needs ray here: pip install 'mathcode-assets[ray]'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not ray.is_initialized():
        _want_somebody_at(address)
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            reason = " ".join(str(error).split())[:300]
            raise RayUnreachable(f"no Ray cluster at {address}: {reason}") from error
    return ray


def _want_somebody_at(address: str) -> None:
    """Raise at once where nothing listens: Ray itself asks for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return  # `auto`, or a client's address
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise RayUnreachable(f"no Ray cluster at {address}: {error}") from error


def _own_version() -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(_DISTRIBUTION)
    return "without metadata"


def _answer(request: bytes, cores: int) -> bytes:
    os.environ[CORES_VARIABLE] = str(cores)
    return answer_to(request)


def _look(folder: str) -> tuple[str, bool]:
    """What a machine of the cluster has: its version of the package, and whether it sees the folder."""
    return _own_version(), not folder or Path(folder).is_dir()
