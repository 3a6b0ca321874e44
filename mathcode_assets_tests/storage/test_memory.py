"""Memory does not grow with a shard: publishing, reading and consolidating twice the rows takes no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = """
import resource, sys
import pyarrow as pa
from mathcode_assets.records import LABEL, batch_of
from mathcode_assets.storage.consolidate import Tally, keep_rows
from mathcode_assets.storage.lake import Lake
from mathcode_assets.storage.manifest import Accounting, Recipe

root, n_batches = sys.argv[1], int(sys.argv[2])
SCHEMA = pa.schema([("doc_id", pa.string()), ("verdict", pa.string()), ("text", pa.large_string())],
                   metadata={b"mathcode.schema": b"memory/1"})

def batches():
    for number in range(n_batches):
        ids = [f"{number}-{i}" for i in range(200)]
        verdicts = ["dropped" if i % 3 else "kept" for i in range(200)]
        texts = [f"{number * 31 + i} " * 700 for i in range(200)]
        columns = [pa.array(ids), pa.array(verdicts), pa.array(texts, pa.large_string())]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

lake = Lake(root)
documents, kept = lake.table("raw/x", "p"), lake.table("filtered/x", "p")
everything = lambda n: Accounting(n_in=n, n_kept=n)
lake.publish(documents, schema=SCHEMA, recipe=Recipe(code_version="1"), batches=batches(), accounting=everything)
tally = Tally()
rows = keep_rows(documents.batches(), documents.batches(columns=["doc_id", "verdict"]),
                 drop_verdicts=frozenset({"dropped"}), tally=tally)
lake.publish(kept, schema=SCHEMA, recipe=Recipe(code_version="1"), batches=rows, accounting=tally.accounting)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kib(root: Path, n_batches: int) -> int:
    command = [sys.executable, "-c", SCRIPT, str(root), str(n_batches)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
def test_twice_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    once = peak_kib(tmp_path / "once", 120)  # some 100 MB of text
    twice = peak_kib(tmp_path / "twice", 240)
    assert twice < 1.1 * once, f"{once} KiB once, {twice} KiB twice"
