"""OpenAI batch files: half the price of asking at once, for an answer within a day.

Three separate steps share a folder, and each can be repeated or cut off anywhere:

1. `write_batch`: requests to ``requests-NNNNN.jsonl``, split at the service's limits. `BatchFiles` does that
   as a generator, so a stage "asks" by running: what is not in the cache is written down and fails for now.
2. `submit`: uploads each file and starts a batch for it, once (``state.json``).
3. `collect`: fetches outputs and errors of batches that have ended, partial ones too, into the request cache.

Then the stage runs again, and finds its answers. `vllm.entrypoints.openai.run_batch` answers the same files
without a service: put its output beside them as ``requests-NNNNN.output.jsonl`` and collect.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mathcode_assets.llm.batch_state import BatchState, list_request_files, output_paths
from mathcode_assets.llm.budget import BudgetExhausted, prompt_tokens_of
from mathcode_assets.llm.chat import CHAT_PATH, PERMANENT, UnusableResponse, body_of, completion_of, course_after
from mathcode_assets.llm.generator import FAILED, Completion, Request, generator_name
from mathcode_assets.llm.meter import Meter

MAX_REQUESTS = 50_000  # in one file, by OpenAI's batch guide
MAX_BYTES = 200_000_000
WAITING = "waiting for a batch"


def write_batch(
    requests: Iterable[Request],
    folder: Path,
    *,
    written: Container[str] = frozenset(),
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
    token_limit_field: str = "max_tokens",
) -> list[Path]:
    """Write requests as new batch files; nothing is there until a file is whole.

    Args:
        requests: read once; a key that occurs twice is written once, as a ``custom_id`` must be unique.
        folder: of the batch files; made where it is missing.
        written: keys to pass over, e.g. `pending_keys`.
        max_requests: in a file, which also holds one model only.
        max_bytes: of a file.
        token_limit_field: see `body_of`.

    Raises:
        ValueError: a request's response schema is not JSON, or one request is larger than a file may be.
    """
    writer = _FileWriter(folder, max_requests=max_requests, max_bytes=max_bytes)
    seen: set[bytes] = set()
    try:
        for request in requests:
            key = request.key
            if key not in written and bytes.fromhex(key) not in seen:
                seen.add(bytes.fromhex(key))
                writer.add(_line_of(request, token_limit_field), request)
    finally:
        writer.end_file()
    return writer.paths


def parse_batch_output(path: Path, *, generator: str = "") -> Iterator[Completion]:
    """The completions of an output or error file, of the service or of vLLM's ``run_batch``.

    Args:
        path: jsonl. A last line without its newline is torn and passed over.
        generator: how the model is named in completions; else as the response names it.

    Raises:
        ValueError: a line is no batch output; names the line.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip() or not line.endswith(b"\n"):
                continue
            try:
                row = json.loads(line)
                key = row["custom_id"].strip()
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(f"{path}:{number}: not a batch output: {error}") from error
            yield replace(_completion_of_row(key, row, generator), attempts=1)


@dataclass(frozen=True, slots=True)
class BatchFiles:
    """A generator that writes what it is asked to batch files; the answers come by `collect`, in a later run."""

    folder: Path
    meter: Meter = field(default_factory=Meter, repr=False)
    token_limit_field: str = "max_tokens"

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """A failure that will pass for each request. Their files are whole when the iterator has ended.

        Raises:
            BudgetExhausted: the meter's budget allows no more, the batches that wait taken at their worst.
        """
        prompt_tokens, completion_tokens = BatchState(self.folder).reserved()
        pending = pending_keys(self.folder)
        writer = _FileWriter(self.folder, max_requests=MAX_REQUESTS, max_bytes=MAX_BYTES)
        budget, count_tokens = self.meter.budget, self.meter.count_tokens
        try:
            for request in requests:
                key = request.key
                completion = Completion(key=key, status=FAILED, error=WAITING, is_transient=True)
                if key not in pending:
                    prompt_tokens += prompt_tokens_of(request, count_tokens)
                    completion_tokens += request.parameters.max_tokens
                    worst = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
                    if budget and not budget.allows(self.meter.total, **worst):
                        raise BudgetExhausted(budget, self.meter.total)
                    try:
                        writer.add(_line_of(request, self.token_limit_field), request)
                        pending.add(key)
                    except ValueError as error:
                        completion = Completion(key=key, status=FAILED, error=str(error))
                        self.meter.finish(completion)
                yield completion
        finally:
            writer.end_file()


def pending_keys(folder: Path) -> set[str]:
    """Keys that are in batch files whose outputs have not been collected."""
    collected = BatchState(folder).collected()
    keys: set[str] = set()
    for path in list_request_files(folder):
        if path.name not in collected:
            with path.open("rb") as file:
                keys.update(json.loads(line)["custom_id"] for line in file)
    return keys


def collect_outputs(folder: Path, meter: Meter, *, generator: str = "", is_final: bool = False) -> int:
    """Put the answers beside the batch files into the cache.

    A file is done with when a service has ended its batch, or when its outputs hold a line for each request.

    Args:
        folder: of the batch files.
        meter: with the cache.
        generator: how the model is named in completions; else as the responses name it.
        is_final: take files with outputs as done although lines are missing: nothing more will come.

    Returns:
        How many answers and failures for good were new. What failed for now is asked again by the next run.

    Raises:
        ValueError: an output file holds a line that is none.
    """
    assert meter.cache is not None, "answers are collected into a cache"
    state = BatchState(folder)
    n_all = 0
    for path in list_request_files(folder):
        outputs = [output for output in output_paths(path) if output.exists()]
        if path.name in state.collected() or not outputs:
            continue
        n_lines = n_new = 0
        for output in outputs:
            for completion in parse_batch_output(output, generator=generator):
                n_lines += 1
                if not completion.is_transient and completion.key not in meter.cache:
                    meter.finish(completion)
                    n_new += 1
        meter.cache.sync()  # before the state says so: a crash in between only reads the outputs again
        entry = state.read().get(path.name, {})
        if is_final or entry.get("has_ended") or n_lines >= entry.get("n_requests", n_lines):
            state.update(path.name, is_collected=True)
        n_all += n_new
    return n_all


class _FileWriter:
    def __init__(self, folder: Path, *, max_requests: int, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.max_requests, self.max_bytes = folder, max_requests, max_bytes
        self.paths: list[Path] = []
        self.state = BatchState(folder)
        self.number = len(list_request_files(folder))
        self.file: Any = None
        self.model = ""
        self.n_requests = self.n_bytes = self.prompt_tokens = self.completion_tokens = 0

    def add(self, line: bytes, request: Request) -> None:
        if len(line) > self.max_bytes:
            raise ValueError(
                f"request {request.key} takes {len(line):,} bytes; a batch file may have {self.max_bytes:,}"
            )
        is_full = self.n_requests == self.max_requests or self.n_bytes + len(line) > self.max_bytes
        if self.file is not None and (is_full or request.model != self.model):
            self.end_file()
        if self.file is None:
            self.number += 1
            self.path = self.folder / f"requests-{self.number:05d}.jsonl"
            self.file = self.path.with_suffix(".partial").open("wb")
            self.model = request.model
            self.n_requests = self.n_bytes = self.prompt_tokens = self.completion_tokens = 0
        self.file.write(line)
        self.n_requests += 1
        self.n_bytes += len(line)
        self.prompt_tokens += prompt_tokens_of(request)
        self.completion_tokens += request.parameters.max_tokens

    def end_file(self) -> None:
        if self.file is None:
            return
        self.file.close()
        self.file = None
        self.state.update(
            self.path.name,
            n_requests=self.n_requests,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )
        self.path.with_suffix(".partial").rename(self.path)
        self.paths.append(self.path)


def _line_of(request: Request, token_limit_field: str) -> bytes:
    body = body_of(request, token_limit_field=token_limit_field)
    line = {"custom_id": request.key, "method": "POST", "url": CHAT_PATH, "body": body}
    return json.dumps(line).encode() + b"\n"  # ASCII: some readers take U+2028 for the end of a line


def _completion_of_row(key: str, row: dict[str, Any], generator: str) -> Completion:
    response = row.get("response") or {}
    error = row.get("error") or {}
    status = response.get("status_code", 200 if response else 0)
    body = response.get("body") or {}
    if status == 200 and not error:
        name = generator or generator_name(str(body.get("model", "")), "")
        try:
            return completion_of(key, body, generator=name)
        except UnusableResponse as unusable:
            return Completion(key=key, status=FAILED, error=str(unusable), is_transient=True, attempts_unknown=1)
    told = error.get("error") or error or body.get("error") or {}
    told = told if isinstance(told, dict) else {"message": str(told)}
    code = told.get("code")
    message = f"{code or status}: {told.get('message', '')}"
    is_permanent = status >= 400 and course_after(status, code if isinstance(code, str) else None) == PERMANENT
    return Completion(key=key, status=FAILED, error=message, is_transient=not is_permanent)
