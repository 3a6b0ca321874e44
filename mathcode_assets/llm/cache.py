"""Answers kept for ever, by request key: what makes a stage resumable, and a second run free.

`RequestCache` is a local folder of segments (see `segments`): answers and failures for good, each attempt
before it is sent, and how it ended. Killed anywhere and started again, only what was under way is sent again.
`Cached` puts it in front of any generator. On an object store the folder is fetched before a run and
published after it, by whoever owns the lake; nothing here changes a file once its writer has gone.

Why not a database: an append is durable without a lock shared by two processes, damage to a file costs the
damaged records only (a truncated SQLite file costs all), and files that never change are cheap to publish.
The price is the index in memory, some 200 bytes for each answer of the partition.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Any

from mathcode_assets.llm.budget import BudgetExhausted
from mathcode_assets.llm.generator import FAILED, Completion, Generator, Request
from mathcode_assets.llm.ledger import ROW, Ledger
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.segments import Place, SegmentWriter, decode_record, list_segments, scan

MAX_ATTEMPTS = 20  # of one request over all runs: four runs of five attempts
SYNC_S = 1.0  # the longest that a power cut can cost
HELD_ANSWERS = 64  # the most that wait for one sync
_REFRESH_S = 1.0  # how often another writer's new answers are looked for
_READ_AHEAD = 2_000  # hits passed while a backend looks for requests to send

_FIELD_NAMES = frozenset(field.name for field in fields(Completion))


class RequestCache:
    """The answers in a folder, and one writer's place to add to them. Thread safe; close it.

    Args:
        folder: local; made when something is written.
        max_attempts: attempts of one request over all runs, after which it counts as failed for good. A
            larger number later gives quarantined requests another chance.
        sync_s: seconds after which what was written is forced to the disk at the latest.
    """

    def __init__(self, folder: Path, *, max_attempts: int = MAX_ATTEMPTS, sync_s: float = SYNC_S) -> None:
        self.folder = folder
        self.max_attempts = max_attempts
        self.lock = RLock()
        self.ledger = Ledger()
        self.n_damaged = 0
        self.attempt_numbers = count(1)  # of this writer, whoever reports
        self._sync_s = sync_s
        self._places: dict[bytes, Place] = {}
        self._read_to: dict[str, int] = {}
        self._writer: SegmentWriter | None = None
        self._stop = Event()
        self._syncer: Thread | None = None
        self._refreshed = 0.0
        self.refresh()

    def __enter__(self) -> RequestCache:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def __contains__(self, key: object) -> bool:
        """Whether a key has a final row."""
        return isinstance(key, str) and _digest(key) in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __bool__(self) -> bool:
        return True  # an empty cache is one

    def get(self, key: str) -> Completion | None:
        """The final row of a key, marked as cached and without attempts; None where there is none."""
        with self.lock:
            place = self._places.get(_digest(key))
        if place is None:
            return None
        return replace(self._read(place), is_cached=True, attempts=0, attempts_unknown=0)

    def completions(self) -> Iterator[Completion]:
        """Every final row, in the order they were written."""
        for place in list(self._places.values()):
            yield self._read(place)

    def may_try(self, key: str) -> bool:
        """Whether a request without a final row has attempts left."""
        return self.ledger.attempts(key) < self.max_attempts

    def record(self, event: dict[str, Any]) -> None:
        """Append an event and let it take effect. A final row of a key that has one changes no answer."""
        with self.lock:
            if self._writer is None:
                self._writer = SegmentWriter(self.folder)
                self._syncer = Thread(target=self._keep_synced, daemon=True, name="request-cache-sync")
                self._syncer.start()
            place = self._writer.append(event)
            self._read_to[place.segment] = place.offset + place.length
            self._take(place, event)

    def sync(self) -> None:
        """Return once everything recorded before the call would survive a power cut."""
        writer = self._writer
        if writer is not None:
            writer.sync()

    def refresh(self, *, at_most_every_s: float = 0.0) -> None:
        """Read what other writers have added since."""
        with self.lock:
            now = time.monotonic()
            if at_most_every_s and now - self._refreshed < at_most_every_s:
                return
            self._refreshed = now
            own = self._writer.path if self._writer else None
            for path in list_segments(self.folder):
                if path == own or path.stat().st_size == self._read_to.get(path.name, 0):
                    continue
                for place, record in scan(path, self._read_to.get(path.name, 0)):
                    self._read_to[path.name] = place.offset + place.length
                    self._take(place, record)

    def close(self) -> None:
        """Sync and close. What was recorded can still be read."""
        self._stop.set()
        if self._syncer is not None:
            self._syncer.join()
        with self.lock:
            if self._writer is not None:
                self._writer.close()
            self._writer = self._syncer = None
            self._stop = Event()

    def _take(self, place: Place, record: dict[str, Any] | None) -> None:
        if record is None:
            self.n_damaged += 1
            return
        with suppress(KeyError, TypeError, ValueError):  # a sound line of some other version of this format
            self.ledger.apply(place.segment, record)
            if record.get("e") == ROW:
                self._places.setdefault(_digest(record["c"]["key"]), place)

    def _read(self, place: Place) -> Completion:
        with (self.folder / place.segment).open("rb") as file:
            file.seek(place.offset)
            record = decode_record(file.read(place.length))
        if record is None:
            raise OSError(f"{self.folder / place.segment}: record at byte {place.offset} changed since it was read")
        return Completion(**{name: value for name, value in record["c"].items() if name in _FIELD_NAMES})

    def _keep_synced(self) -> None:
        stop = self._stop
        while not stop.wait(self._sync_s):
            writer = self._writer
            if writer is not None:
                writer.sync()


@dataclass(frozen=True, slots=True)
class Cached:
    """A generator behind a request cache: what has a final row is never sent again.

    Backends that report to the same meter write their answers as they come in; those of others are written
    when they are yielded. Either way an answer is on the disk before it leaves here. Failures that may pass
    are not kept; a request that has used up its attempts is failed for good, without being sent.
    """

    generator: Generator
    meter: Meter

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """One completion for each request, in order; a key asked twice is sent once.

        Raises:
            BudgetExhausted: from the backend, after everything that was answered before it has been yielded.
        """
        return _CachedRun(self.generator, self.meter, iter(requests)).completions()


class _CachedRun:
    """One pass over a stream of requests; used by one thread."""

    def __init__(self, generator: Generator, meter: Meter, requests: Iterator[Request]) -> None:
        assert meter.cache is not None, "a meter without a cache has nothing to answer from"
        self.generator, self.meter, self.cache, self.requests = generator, meter, meter.cache, requests
        self.turns: deque[tuple[str, bool]] = deque()  # key, and whether the backend answers it
        self.asked: set[str] = set()
        self.next_miss: tuple[str, Request] | None = None
        self.held: list[Completion] = []
        self.held_since = 0.0

    def completions(self) -> Iterator[Completion]:
        while True:
            yield from self._hits()
            if self.next_miss is None:
                return
            answers = self.generator.generate(self._misses())
            try:
                for completion in answers:
                    self._hold(completion)
                    if self._is_time_to_release():
                        yield from self._release()
            except BudgetExhausted:
                yield from self._release()
                raise
            yield from self._release()
            if any(is_miss for _, is_miss in self.turns):
                raise RuntimeError(f"{type(self.generator).__name__} gave fewer completions than requests")

    def _hits(self) -> Iterator[Completion]:
        """Answer from the cache up to the first request that has to be sent."""
        while self.turns:
            yield self._known(self.turns.popleft()[0])
        for request in self.requests:
            key = request.key
            if not self._is_known(key):
                self.next_miss = (key, request)
                return
            yield self._known(key)

    def _misses(self) -> Iterator[Request]:
        """Requests to send. Ends early where too many hits wait for their turn; a new round then begins."""
        while self.next_miss is not None:
            (key, request), self.next_miss = self.next_miss, None
            self.turns.append((key, True))
            self.asked.add(key)
            yield request
            while self.next_miss is None and len(self.turns) < _READ_AHEAD:
                following = next(self.requests, None)
                if following is None:
                    return
                key = following.key
                if self._is_known(key):
                    self.turns.append((key, False))
                else:
                    self.next_miss = (key, following)

    def _is_known(self, key: str) -> bool:
        self.meter.note(requests=1)
        if key in self.cache or key in self.asked:
            return True
        self.cache.refresh(at_most_every_s=_REFRESH_S)
        return key in self.cache or not self.meter.may_try(key)

    def _known(self, key: str) -> Completion:
        """The completion of a request that is not sent, or not again."""
        completion = self.cache.get(key)
        if completion is not None:
            self.meter.note(cached=1)
            return completion
        error = "" if not self.meter.may_try(key) else "asked before in this run, and failed"
        return self._failing(Completion(key=key, status=FAILED, error=error, is_transient=True))

    def _failing(self, completion: Completion) -> Completion:
        """A failure that may pass, for good where it has used up its attempts. Not kept either way."""
        completion = self.meter.quarantine(completion)
        self.meter.note(**{"deferred" if completion.is_transient else "failed": 1})
        return completion

    def _hold(self, completion: Completion) -> None:
        """Keep a completion, and the hits whose turn came before it, until the next sync."""
        if not self.held:
            self.held_since = time.monotonic()
        if completion.is_ok or not completion.is_transient:
            if completion.key not in self.cache:
                self.meter.finish(completion)
        else:
            completion = self._failing(completion)
        self.held += [self._known(key) for key in self._take_turns_before(completion.key)]
        self.held.append(completion)
        self.asked.discard(completion.key)

    def _take_turns_before(self, key: str) -> Iterator[str]:
        while self.turns:
            turn, is_miss = self.turns.popleft()
            if is_miss:
                if turn != key:
                    raise RuntimeError(f"{type(self.generator).__name__} answered out of order")
                return
            yield turn
        raise RuntimeError(f"{type(self.generator).__name__} answered a request it was not asked")

    def _is_time_to_release(self) -> bool:
        return len(self.held) >= HELD_ANSWERS or time.monotonic() - self.held_since >= SYNC_S

    def _release(self) -> Iterator[Completion]:
        self.cache.sync()
        held, self.held = self.held, []
        yield from held


def _digest(key: str) -> bytes:
    """A key as it is indexed: half the memory of its hex digits."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return key.encode()
