from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.sources.listing import local_file
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.readers import read_labels
from mathcode_assets_tests.sources.conftest import jsonl


def labels_of(path: Path) -> tuple[list[dict[str, Any]], Quarantine]:
    quarantine = Quarantine(source="cc_en")
    batches = read_labels(local_file(path), quarantine=quarantine, report=ReadReport())
    return [row for batch in batches for row in batch.to_pylist()], quarantine


def test_labels_from_each_container(tmp_path: Path) -> None:
    records = [
        {"id": "a", "label": "math", "split": "test", "extra": 1},
        {"id": "b", "label": "other", "split": None, "extra": 2},
    ]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "l.parquet")
    (tmp_path / "l.jsonl").write_bytes(jsonl(*records))
    (tmp_path / "l.csv").write_bytes(b"\xef\xbb\xbfid,extra,label,split\r\na,1,math,test\r\nb,2,other,\r\n")
    expected = [
        {"source_id": "a", "label": "math", "split": "test"},
        {"source_id": "b", "label": "other", "split": "train"},
    ]
    for name in ("l.parquet", "l.jsonl", "l.csv"):
        found, quarantine = labels_of(tmp_path / name)
        assert found == expected
        assert not quarantine.counts


def test_bad_labels_are_quarantined(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b'id,label\na,math\nb\nc,\xff\n,math\n"d\nd",other\ne,\n\nf,"other, quoted"\n')
    found, quarantine = labels_of(tmp_path / "l.csv")
    assert [row["source_id"] for row in found] == ["a", "d\nd", "f"]
    assert found[2]["label"] == "other, quoted"
    assert quarantine.counts == {"invalid_csv": 1, "invalid_utf8": 1, "missing_field": 1, "empty_text": 1}
    (tmp_path / "l.jsonl").write_bytes(jsonl({"id": 7, "label": "math"}, {"id": "a", "label": 1}, {"source_id": "b"}))
    found, quarantine = labels_of(tmp_path / "l.jsonl")
    assert found == [{"source_id": "7", "label": "math", "split": "train"}]
    assert quarantine.counts == {"wrong_type": 1, "missing_field": 1}
