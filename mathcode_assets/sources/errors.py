"""The ways a source can fail as a whole; single bad records go to the quarantine instead."""

from __future__ import annotations


class SourceListingError(ValueError):
    """The files or partitions of a source cannot be told; one line with the key and the address."""


class UnreadableSource(Exception):
    """A file cannot be read, or not further than a record; its partition fails, and no other.

    Attributes:
        file: address of the file.
        detail: what is wrong with it.
        row: 0-based number of the first record that could not be read, None where no record was.
    """

    def __init__(self, file: str, detail: str, *, row: int | None = None) -> None:
        self.file = file
        self.detail = " ".join(detail.split())
        self.row = row
        super().__init__(f"{file}{'' if row is None else f', record {row}'}: {self.detail}")


class BrokenStream(Exception):
    """Data that end too early or are damaged; everything before was given out. Becomes UnreadableSource."""
