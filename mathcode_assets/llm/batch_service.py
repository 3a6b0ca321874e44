"""The two steps of `batch_file` that talk to a service: submit, and collect what has ended.

There are no retries here: both steps can be repeated, and go on from where they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mathcode_assets.llm.batch_file import collect_outputs
from mathcode_assets.llm.batch_state import BatchState, list_request_files, output_paths
from mathcode_assets.llm.chat import CHAT_PATH
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.server import ServerConfig

if TYPE_CHECKING:
    from openai import OpenAI

_WINDOW = "24h"  # the only one there is
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one `collect` found.

    answers: new in the cache. waiting: batches under way. rejected: what the service said of batches it did
    not accept; their requests are asked again by the next run.
    """

    answers: int
    waiting: int
    rejected: tuple[str, ...]


def submit(folder: Path, config: ServerConfig) -> list[str]:
    """Start a batch for each file that has none.

    Cut off after the service started a batch and before that was written down, the next call finds the batch
    by its input file and does not start another.

    Returns:
        Ids of the batches that were started.

    Raises:
        openai.OpenAIError: the service cannot be reached or refuses.
    """
    state, started = BatchState(folder), []
    with state.locked(), _client(config) as client:
        for path in list_request_files(folder):
            entry = state.read().get(path.name, {})
            if entry.get("batch_id") or entry.get("is_collected"):
                continue
            file_id = entry.get("file_id")
            batch = _batch_of(client, file_id) if file_id else None
            if not file_id:
                with path.open("rb") as file:
                    file_id = client.files.create(file=file, purpose="batch").id
                state.update(path.name, file_id=file_id)  # an upload that is lost here runs nothing
            if batch is None:
                batch = client.batches.create(
                    input_file_id=file_id, endpoint=CHAT_PATH, completion_window=_WINDOW, metadata={"file": path.name}
                )
                started.append(batch.id)
            state.update(path.name, batch_id=batch.id)
    return started


def collect(folder: Path, config: ServerConfig, meter: Meter, *, generator: str = "") -> Collected:
    """Fetch the outputs of batches that have ended into the cache, what an expired one got done too.

    Raises:
        openai.OpenAIError: the service cannot be reached or refuses.
        ValueError: an output file holds a line that is none.
    """
    state, waiting, rejected = BatchState(folder), 0, []
    with state.locked():
        with _client(config) as client:
            for path in list_request_files(folder):
                entry = state.read().get(path.name, {})
                if entry.get("is_collected") or not entry.get("batch_id"):
                    continue
                batch = client.batches.retrieve(entry["batch_id"])
                if batch.status not in _ENDED:
                    waiting += 1
                    continue
                state.update(path.name, has_ended=batch.status)
                file_ids = (batch.output_file_id, batch.error_file_id)
                for file_id, output in zip(file_ids, output_paths(path), strict=True):
                    if file_id and not output.exists():
                        _download(client, file_id, output)
                if not any(file_ids):  # nothing was run
                    errors = (batch.errors.data if batch.errors else None) or []
                    told = "; ".join(f"line {error.line}: {error.message}" for error in errors)
                    rejected.append(f"{path.name}: {batch.status}: {told}")
                    state.update(path.name, is_collected=True, errors=told)
        answers = collect_outputs(folder, meter, generator=generator)
    return Collected(answers=answers, waiting=waiting, rejected=tuple(rejected))


def _client(config: ServerConfig) -> OpenAI:
    from openai import OpenAI

    return OpenAI(base_url=config.base_url, api_key=config.api_key, max_retries=0, timeout=config.timeout_s)


def _batch_of(client: OpenAI, file_id: str) -> Any:
    """The batch that was started for an uploaded file, None where there is none."""
    return next((batch for batch in client.batches.list(limit=100) if batch.input_file_id == file_id), None)


def _download(client: OpenAI, file_id: str, path: Path) -> None:
    temporary = path.with_suffix(".partial")
    with client.files.with_streaming_response.content(file_id) as response:
        response.stream_to_file(temporary)
    temporary.rename(path)
