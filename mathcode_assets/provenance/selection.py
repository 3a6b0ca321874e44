"""Which documents a request to take down means, and which licences a pile may hold.

A selector looks at where a document came from and never at its text: its ids, its address, its repository, its
licence. Finding the same text elsewhere is a matter of fingerprints, see `defs.withdrawal`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

DOCUMENT, URL, REPOSITORY, LICENCE = "document", "url", "repository", "licence"
KINDS = (DOCUMENT, URL, REPOSITORY, LICENCE)
# Columns that any selector reads; the metadata, the largest of them, is read for repositories alone.
COLUMNS = ("doc_id", "source_id", "source_uri", "licence")
METADATA_COLUMN = "source_metadata"
# Fields of StarCoder's records that name a repository with the file in it. A file that several repositories have
# stands once, under the one with the most stars.
REPOSITORY_FIELDS = ("max_stars_repo_name", "max_issues_repo_name", "max_forks_repo_name", "repo_name")
HOST = "github.com/"
ANY_REST = "*"

_SCHEME = re.compile(r"^https?://", re.IGNORECASE)
# Of a list of licences, and of an SPDX expression, all hold at once; of alternatives the user chooses.
_ALL_OF = re.compile(r"\s*,\s*|\s+AND\s+", re.IGNORECASE)
_ONE_OF = re.compile(r"\s+OR\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """The documents that a request names, now and in every shard to come.

    Attributes:
        kind: document, url, repository or licence.
        value: a doc_id or a source's own id; an address, or the beginning of addresses followed by `*`; owner/name;
            a licence as the sources spell it.

    Raises:
        ValueError: another kind, no value, or a `*` that would mean everything.
    """

    kind: str
    value: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not one of {', '.join(KINDS)}")
        if not self.value.strip(f" \t{ANY_REST}") or not _SCHEME.sub("", self.value).strip(f"/ {ANY_REST}"):
            raise ValueError(f"an empty {self.kind} names nothing")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a document table that `matches` reads."""
        return (*COLUMNS, METADATA_COLUMN) if self.kind == REPOSITORY else COLUMNS

    def matches(self, batch: pa.RecordBatch) -> list[bool]:
        """For each row of a document table, whether it is meant."""
        if self.kind == DOCUMENT:
            ids = zip(batch.column("doc_id").to_pylist(), batch.column("source_id").to_pylist(), strict=True)
            return [self.value in pair for pair in ids]
        if self.kind == URL:
            return [self._is_at(uri) for uri in batch.column("source_uri").to_pylist()]
        if self.kind == LICENCE:
            return [self._is_under(licence) for licence in batch.column("licence").to_pylist()]
        rows = zip(batch.column("source_uri").to_pylist(), batch.column(METADATA_COLUMN).to_pylist(), strict=True)
        return [self._is_of(uri, metadata) for uri, metadata in rows]

    def _is_at(self, uri: str) -> bool:
        wanted, address = _SCHEME.sub("", self.value), _SCHEME.sub("", uri)
        if wanted.endswith(ANY_REST):
            return address.startswith(wanted.removesuffix(ANY_REST))
        return address == wanted

    def _is_under(self, licence: str) -> bool:
        wanted = self.value.casefold()
        return licence.casefold() == wanted or any(wanted in part for part in _parts(licence))

    def _is_of(self, uri: str, metadata: str) -> bool:
        # The host takes names in any case.
        wanted = _SCHEME.sub("", self.value).casefold().removeprefix(HOST).strip("/")
        if _SCHEME.sub("", uri).casefold().startswith(f"{HOST}{wanted}/"):
            return True
        if wanted not in metadata.casefold():
            return False
        fields = json.loads(metadata)
        return any(str(fields.get(name)).casefold() == wanted for name in REPOSITORY_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LicencePolicy:
    """Section `licences` of the settings: which documents the pile may hold. Names in any case.

    A document with several licences (`MIT, GPL-3.0`, or joined by AND) needs all of them to be permitted, one with
    alternatives (`MIT OR GPL-3.0`) one of them. `unknown` is a name like any other.

    Attributes:
        allow: no others; empty: all.
        deny: none of these.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether everything is permitted."""
        return not self.allow and not self.deny

    def permits(self, licence: str) -> bool:
        """Whether a document of this licence, as its `licence` column has it, may be in the pile."""
        allow, deny = ({name.casefold() for name in names} for names in (self.allow, self.deny))
        whole = licence.casefold()
        if whole in deny:
            return False
        if whole in allow:
            return True
        return all(any((not allow or name in allow) and name not in deny for name in part) for part in _parts(licence))


def _parts(licence: str) -> Iterator[list[str]]:
    """The licences that hold at once, each as the list of its alternatives, in lower case."""
    for part in _ALL_OF.split(licence):
        names = [name.strip("() \t").casefold() for name in _ONE_OF.split(part)]
        if any(names):
            yield names
