"""The manifest of a published partition: what it holds, what it was made from, where the rows went.

Nothing in it depends on the clock or the machine, so the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1


class AccountingError(ValueError):
    """Rows in are not rows kept plus dropped plus quarantined."""


class ManifestError(ValueError):
    """A manifest that cannot be read, or that its files do not match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Where every row that came in went: `n_in == n_kept + sum(dropped) + sum(quarantined)`."""

    n_in: int
    n_kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        gone = sum(self.dropped.values()) + sum(self.quarantined.values())
        if self.n_in != self.n_kept + gone:
            raise AccountingError(
                f"{self.n_in} rows in, but {self.n_kept} kept, "
                f"dropped {dict(self.dropped)}, quarantined {dict(self.quarantined)}"
            )

    @property
    def n_dropped(self) -> int:
        """Rows dropped for any reason."""
        return sum(self.dropped.values())

    @property
    def n_quarantined(self) -> int:
        """Records that could not be read."""
        return sum(self.quarantined.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides the content of a partition; equal recipes mean equal bytes.

    inputs: data version (or fingerprint) of each table, file or model read, by name.
    config: the settings used, JSON values only.
    models: version of each promoted model used, by name.
    """

    code_version: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """32 hex digits over every field."""
        return digest(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file of a partition; `n_rows` is 0 for files that are not tables."""

    name: str
    sha256: str
    size_bytes: int
    n_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One published partition of a table or one version of an artifact."""

    key: str
    partition: str
    schema: str
    recipe: Recipe
    files: tuple[PublishedFile, ...]
    accounting: Accounting
    n_tokens: int | None = None
    tokenizer: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Rows in all files."""
        return sum(file.n_rows for file in self.files)

    @property
    def size_bytes(self) -> int:
        """Bytes in all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def data_version(self) -> str:
        """32 hex digits that change if and only if the published content changes."""
        return digest([self.schema, self.tokenizer, [[file.name, file.sha256] for file in self.files]])

    def to_bytes(self) -> bytes:
        """Canonical JSON, indented for readers, with a final newline."""
        document = {"format": FORMAT_VERSION, "data_version": self.data_version, **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, origin: str) -> Manifest:
        """Parse what `to_bytes` wrote.

        Raises:
            ManifestError: not a manifest of this format, or one whose data version does not fit
                its files. Names `origin`.
        """
        try:
            document = json.loads(content)
            if document.pop("format") != FORMAT_VERSION:
                raise ManifestError(f"{origin}: unknown manifest format")
            data_version = document.pop("data_version")
            document["recipe"] = Recipe(**document["recipe"])
            document["accounting"] = Accounting(**document["accounting"])
            document["files"] = tuple(PublishedFile(**file) for file in document["files"])
            manifest = cls(**document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"{origin}: not a manifest ({error})") from error
        if manifest.data_version != data_version:
            raise ManifestError(f"{origin}: data version {data_version} does not fit its files")
        return manifest


def digest(value: Any) -> str:
    """First 32 hex digits of the SHA-256 of a JSON value in canonical form."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
