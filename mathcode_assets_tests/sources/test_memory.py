"""Peak memory of a reader in a process of its own, on an input and on one twice as large."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

READ = """
import sys
from pathlib import Path
from mathcode_assets.sources.listing import local_file
from mathcode_assets.sources.quarantine import Quarantine, ReadReport
from mathcode_assets.sources.raw_records import ReadLimits
from mathcode_assets.sources.readers import read_documents

quarantine, report = Quarantine(source="cc_en"), ReadReport()
limits = ReadLimits(max_record_bytes=int(sys.argv[2]))
for batch in read_documents(
    local_file(sys.argv[1]), source="cc_en", quarantine=quarantine, report=report, limits=limits
):
    pass
for batch in quarantine.batches():
    pass
# Not ru_maxrss: a child inherits its parent's.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(report.n_records, status["VmHWM"].split()[0])
"""
RECORD_CHARS = 20_000
N_RECORDS = 1_500  # 30 MB of text
N_ROWS = 3_000  # 60 MB: below that Arrow's memory pool still fills up, to 220 MiB and no further


def texts(n: int) -> Iterator[str]:
    """Texts of 20,000 characters that compress about as web text does, always the same."""
    words = random.Random(3).choices([f"w{number}" for number in range(5_000)], k=200_000)
    pick = random.Random(5)
    for _ in range(n):
        start = pick.randrange(len(words) - 5_000)
        yield " ".join(words[start : start + 5_000])[:RECORD_CHARS]


def jsonl_zst(path: Path, n: int) -> None:
    with zstandard.ZstdCompressor().stream_writer(path.open("wb")) as out:
        for text in texts(n):
            out.write(json.dumps({"text": text}).encode() + b"\n")


def json_array(path: Path, n: int) -> None:
    with path.open("w") as out:
        out.write("[")
        for number, text in enumerate(texts(n)):
            out.write("," * bool(number) + json.dumps({"text": text}))
        out.write("]")


def one_row_group(path: Path, n: int) -> None:
    table = pa.table({"text": list(texts(n)), "url": [f"https://example.org/{number}" for number in range(n)]})
    pq.write_table(table, path, row_group_size=n)
    assert pq.ParquetFile(path).num_row_groups == 1


def all_bad(path: Path, n: int) -> None:
    with path.open("w") as out:
        for text in texts(n):
            out.write(f"{{bad {text}\n")


def one_line(path: Path, n: int) -> None:
    with path.open("w") as out:
        out.write('{"text": "')
        for text in texts(n):
            out.write(text)
        out.write('"}\n{"text": "after"}\n')


def peak_kib(path: Path, max_record_bytes: int) -> tuple[int, int]:
    command = [sys.executable, "-c", READ, str(path), str(max_record_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    n_records, peak = done.stdout.split()
    return int(n_records), int(peak)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "name", "n", "max_record_bytes"),
    [
        (jsonl_zst, "a.jsonl.zst", N_RECORDS, 256 << 20),
        (json_array, "a.json", N_RECORDS, 256 << 20),
        (one_row_group, "a.parquet", N_ROWS, 256 << 20),
        (all_bad, "a.jsonl", N_RECORDS, 256 << 20),
        (one_line, "a.jsonl", N_RECORDS, 1 << 20),
    ],
    ids=["jsonl.zst", "json array", "one row group", "all quarantined", "one record too large"],
)
def test_peak_memory_does_not_grow_with_the_input(
    tmp_path: Path, write: Callable[[Path, int], None], name: str, n: int, max_record_bytes: int
) -> None:
    peaks = []
    for factor in (1, 2):
        folder = tmp_path / str(factor)
        folder.mkdir()
        write(folder / name, n * factor)
        n_records, peak = peak_kib(folder / name, max_record_bytes)
        assert n_records in (n * factor, 2)
        peaks.append(peak)
    print(f"{name}: {peaks[0] / 1024:.0f} MiB, then {peaks[1] / 1024:.0f} MiB")
    assert peaks[1] < peaks[0] * 1.1
