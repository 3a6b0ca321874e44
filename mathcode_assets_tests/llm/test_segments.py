"""What is appended comes back, whatever it is; what a full disk tore costs itself."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.llm.segments import SegmentWriter, decode_record, encode_record, list_segments, scan

RECORDS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans() | st.none(),
)


@given(RECORDS)
def test_a_record_is_one_line_and_comes_back(record: dict) -> None:
    line = encode_record(record)
    assert line.count(b"\n") == 1 and decode_record(line) == record


@given(RECORDS, st.data())
def test_a_changed_or_cut_line_is_not_taken_for_a_record(record: dict, data: st.DataObject) -> None:
    line = encode_record(record)
    place = data.draw(st.integers(0, len(line) - 1))
    assert decode_record(line[:place]) is None
    changed = bytearray(line)
    changed[place] ^= data.draw(st.integers(1, 255))
    assert decode_record(bytes(changed)) is None


@pytest.mark.parametrize("line", [b"", b"\n", b"00000000 \n", b"zzzzzzzz {}\n", b"99f8b879 [1]\n"])
def test_other_lines_are_no_records(line: bytes) -> None:
    assert decode_record(line) is None


def _fill(folder: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = SegmentWriter(Path(folder))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    n_written = 0
    with pytest.raises(OSError, match="File too large"):
        for n_written in range(100):
            writer.append({"n": n_written, "text": "x" * 100})
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    place = writer.append({"n": "after"})
    writer.close()
    with (Path(folder) / place.segment).open("rb") as file:
        file.seek(place.offset)
        assert decode_record(file.read(place.length)) == {"n": "after"}


def test_what_a_full_disk_tore_costs_itself_only(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(str(tmp_path),))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    (segment,) = list_segments(tmp_path)
    records = [record for _, record in scan(segment)]
    assert records[-1] == {"n": "after"} and records[-2] is None
    assert [record["n"] for record in records[:-2] if record] == list(range(len(records) - 2)) and len(records) > 5


def test_a_segment_without_records_is_taken_away(tmp_path: Path) -> None:
    SegmentWriter(tmp_path).close()
    assert not list_segments(tmp_path)
    first, second = SegmentWriter(tmp_path), SegmentWriter(tmp_path)
    assert first.path < second.path
    for writer in (first, second):
        writer.append({})
        writer.close()
    assert list_segments(tmp_path) == [first.path, second.path]
