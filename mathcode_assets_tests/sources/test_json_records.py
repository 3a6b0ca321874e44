from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.sources.errors import BrokenStream
from mathcode_assets.sources.json_records import json_array, json_lines, split_lines
from mathcode_assets.sources.raw_records import ReadLimits, Record, Rejected

LIMITS = ReadLimits()
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


def fields(records: Any) -> list[Any]:
    return [record.fields if isinstance(record, Record) else record.reason for record in records]


@given(st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4)), st.lists(st.integers(0, 10_000)))
def test_any_objects_come_back_however_the_stream_is_cut(objects: list[dict[str, Any]], places: list[int]) -> None:
    data = b"".join(json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n" for item in objects)
    assert fields(json_lines(cut(data, places), LIMITS)) == objects


@given(
    st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4)),
    st.lists(st.integers(0, 10_000)),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
def test_any_objects_come_back_out_of_an_array(
    objects: list[dict[str, Any]], places: list[int], indent: int | None, is_ascii: bool
) -> None:
    data = json.dumps(objects, ensure_ascii=is_ascii, indent=indent).encode("utf-8") + b"\n"
    assert fields(json_array(cut(data, places), LIMITS)) == objects


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.lists(st.integers(0, 500)))
def test_lines_are_what_split_at_newline_bytes_gives(lines: list[bytes], places: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    expected = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:-1]
    assert [line.data for line in split_lines(cut(data, places), 1_000)] == expected


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_an_array_of_any_bytes_ends_or_breaks_but_never_fails(data: bytes, places: list[int]) -> None:
    try:
        for record in json_array(cut(b"[" + data, places), LIMITS):
            assert isinstance(record, Record | Rejected)
    except BrokenStream:
        pass


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_lines_of_any_bytes_are_records_or_rejected(data: bytes, places: list[int]) -> None:
    whole = data.removeprefix(b"\xef\xbb\xbf")
    found = list(json_lines(cut(data, places), LIMITS))
    assert len(found) == sum(1 for line in whole.split(b"\n") if line and not line.isspace())


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"])
def test_only_a_newline_byte_ends_a_line(mark: str) -> None:
    data = ('{"text": "one' + mark + 'line"}\n').encode() * 2
    assert fields(json_lines([data], LIMITS)) == [{"text": f"one{mark}line"}] * 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "invalid_json"),
        (b"{'text': 'a'}", "invalid_json"),
        (b'{"text": "a"} {"text": "b"}', "invalid_json"),
        (b"\0\0\0\0", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'"text"', "not_an_object"),
        (b'["text"]', "not_an_object"),
        (b"null", "not_an_object"),
        (b"3", "not_an_object"),
        (b'{"text": "\xff"}', "invalid_utf8"),
        (b'{"text": "\xed\xa0\x80"}', "invalid_utf8"),  # a surrogate written as bytes
        (b'{"text": "\xe4\xbd"}', "invalid_utf8"),
    ],
)
def test_a_bad_line_is_rejected_and_its_neighbours_are_kept(line: bytes, reason: str) -> None:
    data = b'{"n": 1}\n' + line + b'\n{"n": 2}\n'
    first, bad, last = json_lines([data], LIMITS)
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert isinstance(bad, Rejected)
    assert (first.row, bad.row, last.row) == (0, 1, 2)
    assert (bad.reason, bad.raw) == (reason, line)
    assert bad.detail


def test_a_half_line_at_the_end_is_rejected_and_says_so() -> None:
    _, bad = json_lines([b'{"n": 1}\n{"n": 2, "te'], LIMITS)
    assert isinstance(bad, Rejected)
    assert "may be cut off" in bad.detail


def test_a_last_line_without_newline_is_a_record() -> None:
    assert fields(json_lines([b'{"n": 1}\n{"n": 2}'], LIMITS)) == [{"n": 1}, {"n": 2}]


def test_blank_lines_are_counted_but_are_no_records() -> None:
    found = list(json_lines([b'\n{"n": 1}\r\n  \r\n\n{"n": 2}\n\n'], LIMITS))
    assert [record.row for record in found] == [1, 4]


@pytest.mark.parametrize("n_first", [1, 2, 3, 4, 50])
def test_a_byte_order_mark_is_passed_over_however_it_is_cut(n_first: int) -> None:
    data = b'\xef\xbb\xbf{"n": 1}\n\xef\xbb\xbf{"n": 2}\n'
    assert fields(json_lines([data[:n_first], data[n_first:]], LIMITS)) == [{"n": 1}, "invalid_json"]


def test_numbers_beyond_python_are_kept() -> None:
    (record,) = json_lines([b'{"n": ' + b"7" * 5_000 + b', "small": 7}\n'], LIMITS)
    assert isinstance(record, Record)
    assert record.fields == {"n": "7" * 5_000, "small": 7}


@pytest.mark.parametrize("n_chunk", [7, 64, 1_000, 100_000])
def test_a_record_above_the_limit_is_passed_over_without_being_held(n_chunk: int) -> None:
    data = b'{"n": 1}\n{"text": "' + b"x" * 100_000 + b'"}\n{"n": 2}\n'
    chunks = [data[i : i + n_chunk] for i in range(0, len(data), n_chunk)]
    first, bad, last = json_lines(chunks, ReadLimits(max_record_bytes=1_000))
    assert isinstance(bad, Rejected)
    assert (bad.row, bad.reason) == (1, "record_too_large")
    assert bad.detail.startswith("100,012 bytes, at most 1,000")
    assert len(bad.raw) <= 64 << 10
    assert bad.raw.startswith(b'{"text": "xxx')
    assert fields([first, last]) == [{"n": 1}, {"n": 2}]


def test_a_line_of_exactly_the_limit_is_read() -> None:
    line = b'{"n": 1}'
    assert fields(json_lines([line + b"\n"], ReadLimits(max_record_bytes=len(line)))) == [{"n": 1}]
    assert fields(json_lines([line], ReadLimits(max_record_bytes=len(line) - 1))) == ["record_too_large"]


def test_an_element_above_the_limit_is_passed_over() -> None:
    data = b'[{"n": 1}, {"text": "' + b"x" * 100_000 + b'"}, {"n": 2}]'
    chunks = [data[i : i + 999] for i in range(0, len(data), 999)]
    assert fields(json_array(chunks, ReadLimits(max_record_bytes=1_000))) == [
        {"n": 1},
        "record_too_large",
        {"n": 2},
    ]


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b'[{"n": 1}, {"n": 2', [{"n": 1}]),
        (b'[{"n": 1},', [{"n": 1}]),
        (b'[{"n": 1}', [{"n": 1}]),
        (b'[{"n": 1}, {"n": {"m": 2}', [{"n": 1}]),
        (b'[{"n": 1}] {"n": 2}', [{"n": 1}]),
        (b'[{"n": "]', []),
    ],
)
def test_an_array_that_is_cut_off_or_goes_on_breaks_after_the_last_whole_element(data: bytes, kept: list[Any]) -> None:
    found: list[Any] = []
    with pytest.raises(BrokenStream):
        for record in json_array([data], LIMITS):
            found.extend(fields([record]))
    assert found == kept


def test_a_bad_element_does_not_cost_its_neighbours() -> None:
    data = b'[{"n": 1}, {n: 2}, 3, {"n": "\xff"}, {"n": 4}]'
    assert fields(json_array([data], LIMITS)) == [
        {"n": 1},
        "invalid_json",
        "not_an_object",
        "invalid_utf8",
        {"n": 4},
    ]


def test_an_empty_array_has_no_elements() -> None:
    assert list(json_array([b" [ ] \n"], LIMITS)) == []
