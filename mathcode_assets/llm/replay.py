"""A generator that answers from a file of recorded completions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mathcode_assets.llm.generator import FAILED, Completion, Request

NOT_RECORDED = "not recorded"

_FIELD_NAMES = frozenset(field.name for field in fields(Completion))


@dataclass(frozen=True, slots=True)
class Replay:
    """Answers by request key; a request that was never recorded fails, saying so."""

    completions: dict[str, Completion]

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """The recorded completion of each request, in order."""
        for request in requests:
            key = request.key
            yield self.completions.get(key) or Completion(key=key, status=FAILED, error=NOT_RECORDED, is_transient=True)


def load_replay(path: Path) -> Replay:
    """Read completions from jsonl: ``key``, ``text`` other fields of `Completion`; the last of a key wins.

    Raises:
        ValueError: a line is not such an object; names the line.
    """
    completions: dict[str, Completion] = {}
    with path.open("rb") as file:  # bytes split at \n only; U+2028 inside an answer is no line end
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                completion = Completion(**{name: row[name] for name in row if name in _FIELD_NAMES})
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}:{number}: not a recorded completion: {error}") from error
            completions[completion.key] = completion
    return Replay(completions)


def record(path: Path, completions: Iterable[Completion]) -> int:
    """Append completions to a file that `load_replay` reads; returns how many."""
    count = 0
    with path.open("a", encoding="utf-8", newline="\n") as file:
        for completion in completions:
            file.write(json.dumps(asdict(completion), sort_keys=True, ensure_ascii=False) + "\n")
            count += 1
    return count
