"""A lake of three code shards and one shard of pages, with one text in two shards, up to the packed pile."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mathcode_assets.config import load_sources
from mathcode_assets.defs.graph import CORPUS, PROMOTED, lineage
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import DOCUMENT, batch_of
from mathcode_assets.sources.documents import doc_id_of
from mathcode_assets.storage.lake import WHOLE
from mathcode_assets.storage.manifest import Accounting, Recipe

PILE, PACKED = "mixture/mathcode_pile", "tokens/packed"
ASSETS = {asset.key: asset for asset in CORPUS}
# Which pages are kept is not at stake here, so no classifier is trained: the filtered shard is written by hand.
BY_HAND = ("raw/open_web_math", "attributes/open_web_math", "filtered/open_web_math")
CODE = ("raw/starcoder_python", "attributes/code_python", "filtered/code_python")

TWIN = "print(sympy.factorint(91))"
# id: (shard, program, repository, licence)
PROGRAMS = {
    "a0": ("a", "print(sympy.integrate('x**2'))", "owner/one", "MIT"),
    "a1": ("a", TWIN, "owner/two", "MIT"),
    "b0": ("b", TWIN, "other/three", "Apache-2.0"),
    "b1": ("b", "print(sympy.integrate('x**3'))", "other/four", "GPL-3.0"),
    "c0": ("c", "print(sympy.prime(17))", "owner/one", "MIT"),
    "c1": ("c", "print(sympy.divisors(28))", "other/five", "MIT"),
}
PAGES = {
    "p0": "Take two numbers, seventeen and twenty-three. Their product is $17 \\cdot 23 = 391$, which is odd.",
    "p1": "Nothing is computed on this page: it tells of Euler, who wrote more than anybody could read.",
}
SOURCES = """\
root: lake
sources:
  starcoder_python: {{uri: 'code/*.jsonl'}}
  open_web_math: {{uri: 'pages/*.jsonl'}}
benchmarks: {{uri: 'benchmarks/*.jsonl'}}
settings:
  self_test: {{plants_per_kind: 2, min_recall: {{verbatim: 0.9}}}}
  tokenizer: {{vocab_size: 300}}
  tokenization: {{length: 64}}
{settings}"""


@dataclass(frozen=True)
class TakedownLake:
    """The folder of the sources file, made without Dagster."""

    folder: Path

    @property
    def root(self) -> str:
        return str(self.folder / "lake")

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_sources(self.folder / "sources.yaml"))

    def sources(self, settings: str = "") -> None:
        (self.folder / "sources.yaml").write_text(SOURCES.format(settings=settings))

    def code(self, shard: str, *ids: str, programs: dict[str, tuple[str, str, str, str]] | None = None) -> None:
        rows = []
        for name in ids:
            _, program, repository, licence = (programs or PROGRAMS)[name]
            rows.append(
                {"id": name, "content": f"import sympy\n{program}\n", "max_stars_repo_name": repository,
                 "max_stars_repo_path": f"{name}.py", "max_stars_repo_licenses": [licence]}
            )  # fmt: skip
        (self.folder / "code").mkdir(exist_ok=True)
        (self.folder / "code" / f"{shard}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write(self) -> None:
        """Sources, a benchmark, and the pages as a filter would have kept them."""
        self.sources()
        for shard in "abc":
            self.code(shard, *(name for name, row in PROGRAMS.items() if row[0] == shard))
        for name, row in (
            ("benchmarks/garden", {"idx": 0, "question": "How many tulips does a gardener plant in 14 rows of 23?"}),
            ("pages/web", {"url": "https://example.org/p0", "text": PAGES["p0"]}),
        ):
            (self.folder / name).parent.mkdir()
            (self.folder / f"{name}.jsonl").write_text(json.dumps({"answer": "322", **row}) + "\n")
        rows = [
            {
                "doc_id": doc_id_of("open_web_math", name, text), "source": "open_web_math", "source_id": name,
                "source_uri": f"https://example.org/{name}", "source_file": "web.jsonl", "source_row": number,
                "source_revision": "r", "licence": "CC-BY-4.0", "text": text, "source_metadata": "{}",
            }
            for number, (name, text) in enumerate(PAGES.items())
        ]  # fmt: skip
        lake = self.workspace.lake
        for key in ("raw/open_web_math", "filtered/open_web_math"):
            lake.publish(
                lake.table(key, "web"),
                schema=DOCUMENT,
                recipe=Recipe(code_version="1"),
                batches=[batch_of(rows, DOCUMENT)],
                accounting=lambda n: Accounting(n_in=n, n_kept=n),
            )

    def make(self, *keys: str) -> None:
        """Publish every partition of these tables that is not current."""
        workspace = self.workspace
        for key in keys:
            source = ASSETS[key].partitioned_by
            for partition in list(workspace.partitions(source)) if source else [WHOLE]:
                ASSETS[key].publish(workspace, partition)

    def build(self, last: str = PILE) -> None:
        """What `mathcode run` would make, up to a table."""
        keys = [asset.key for asset in lineage(last) if not asset.key.startswith(PROMOTED)]
        here = self.workspace.sources.sources
        self.make(
            *(
                key
                for key in keys
                if key not in BY_HAND and not key.startswith("models/") and _is_here(ASSETS[key].partitioned_by, here)
            )
        )

    def rows(self, key: str, partition: str = WHOLE) -> list[dict[str, Any]]:
        return [row for batch in self.workspace.lake.table(key, partition).batches() for row in batch.to_pylist()]

    def pile(self) -> list[str]:
        """The pile's documents by the source's id, translations with a mark."""
        rows = self.rows(PILE)
        return sorted(
            ("translated " if row["component"] == "mathematical_code" else "") + row["source_id"] for row in rows
        )

    def doc_id(self, source_id: str) -> str:
        for shard in ("a", "b", "c"):
            for row in self.rows("raw/starcoder_python", shard):
                if row["source_id"] == source_id:
                    return row["doc_id"]
        return doc_id_of("open_web_math", source_id, PAGES[source_id])

    def recipes(self) -> dict[str, str]:
        """Fingerprints of the recipes of every clean shard."""
        lake = self.workspace.lake
        keys = ("clean/code_python", "clean/open_web_math", "clean/translated_open_web_math")
        tables = [lake.table(key, partition) for key in keys for partition in lake.partitions(key)]
        return {f"{table.key}[{table.partition}]": table.manifest().recipe.fingerprint for table in tables}


def _is_here(source: str | None, here: Any) -> bool:
    return source is None or source in here
