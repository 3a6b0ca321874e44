"""Model-translated mathematical code, verified: the paper's core (its section 2).

    clean/<web> -> completions/<web> -> computations/<web> -> translated/<web>, separated/<web>

Each step is a table of its own, so another verifier runs no model again, and another pairing runs no
program again. What comes out goes through deduplication and decontamination like any other component.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.defs.assets.consolidated import counted, input_versions, verdict_counts
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.checks import VERIFIED_SHARE, rows_add_up, rows_of
from mathcode_assets.defs.components import TRANSLATED_TABLES, ComponentTable
from mathcode_assets.defs.isolation import ExecutionConfig, isolation
from mathcode_assets.defs.previews import computations_preview, document_preview
from mathcode_assets.defs.table_assets import LakeAsset, TableBuild
from mathcode_assets.defs.translator import asks_a_model, translator_of
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.mathematical_code.pairing import PairingConfig, paired, separated
from mathcode_assets.mathematical_code.translation import complete, computations_of, verified
from mathcode_assets.records import COMPLETION, DOCUMENT, VERIFIED, VERIFIED_COMPUTATION
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets.verification.isolated import VerificationConfig

CODE_VERSION = "1"
GROUP = "mathematical_code"

# Why a document of the web component has no translated one.
NO_COMPUTATION = "no_computation"
NONE_VERIFIED = "none_verified"

Pairing = Callable[..., Iterator[pa.RecordBatch]]


def completions_key(web: str) -> str:
    """Key of the answers to the passages of a web component."""
    return f"completions/{web}"


def computations_key(web: str) -> str:
    """Key of the computations of a web component."""
    return f"computations/{web}"


def _completions(web: str) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """One row is a passage of a clean document and what the generator answered (paper section 2).

        Answers are kept by request: what was answered is never sent again, whatever interrupts the run. A
        request that keeps failing becomes a row that says so; one that may still succeed fails the step once
        all others are answered, and the next run asks for it alone.
        """
        documents = workspace.lake.table(f"clean/{web}", partition)
        translator = translator_of(workspace, completions_key(web), partition)
        counts: dict[str, dict[str, int]] = {}
        tokens = {"prompt_tokens": 0, "completion_tokens": 0}

        def batches() -> Iterator[pa.RecordBatch]:
            with translator.generator() as generator:
                found = complete(documents.batches(columns=["doc_id", "text"]), generator, translator.config)
                for batch in counted(found, ["status"], counts):
                    for name in tokens:
                        tokens[name] += pc.sum(batch.column(name)).as_py() or 0
                    yield batch

        return TableBuild(
            recipe=Recipe(
                code_version=CODE_VERSION,
                inputs=input_versions(documents),
                config=translator.recipe(),
                models={"translation": translator.name},
            ),
            batches=batches,
            facts=lambda: verdict_counts(counts) | tokens | translator.price(**tokens),
            run_facts=translator.run_facts,
        )

    return build


def _computations(web: str) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """One row is a computation with its program, what that printed, and the verdict on the stated result.

        Programs run isolated and never see the stated result; verified, refuted and unverifiable rows are all
        kept, with method and evidence, and so is what did not parse, with its reason.
        """
        documents = workspace.lake.table(f"clean/{web}", partition)
        completions = workspace.lake.table(completions_key(web), partition)
        execution = workspace.settings("execution", ExecutionConfig)
        verification = workspace.settings("verification", VerificationConfig)
        counts: dict[str, dict[str, int]] = {}

        def batches() -> Iterator[pa.RecordBatch]:
            opened = isolation(execution, verification)
            found = computations_of(documents.batches(columns=["doc_id", "text"]), completions.batches())
            ran = verified(documents.batches(columns=_SOURCE_COLUMNS), found, opened.execute, opened.verify)
            yield from counted(ran, ["verdict", "method", "status", "problem", "tier"], counts)

        def facts() -> dict[str, Any]:
            told = verdict_counts(counts)
            n_verified = told.get("verdict", {}).get(VERIFIED, 0)
            return told | _cost_of_each(completions.manifest().facts, n_verified)

        return TableBuild(
            recipe=Recipe(
                code_version=CODE_VERSION,
                inputs=input_versions(documents, completions),
                config={"execution": config_dict(execution.limits), "verification": _version_of(verification)},
            ),
            batches=batches,
            facts=facts,
        )

    return build


_SOURCE_COLUMNS = ["doc_id", "source", "source_id", "source_uri", "licence"]


def _version_of(verification: VerificationConfig) -> Mapping[str, Any]:
    """What decides verdicts: the limits, and not the number of workers."""
    return {name: value for name, value in config_dict(verification).items() if name != "n_workers"}


def _cost_of_each(facts: Mapping[str, Any], n_verified: int) -> dict[str, float]:
    """Tokens and price for one verified computation, where anything was paid."""
    if not n_verified:
        return {}
    paid = {name: facts.get(name, 0) for name in ("prompt_tokens", "completion_tokens", "price")}
    return {f"{name}_per_verified": round(value / n_verified, 6) for name, value in paid.items() if value}


def _documents(web: str, pairing: Pairing, what: str) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        documents = workspace.lake.table(f"clean/{web}", partition)
        computations = workspace.lake.table(computations_key(web), partition)
        config = workspace.settings("pairing", PairingConfig)
        kept: set[str] = set()

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in pairing(documents.batches(), computations.batches(), config):
                # Both forms carry over the address of their source row, so this counts source documents.
                rows = zip(batch.column("source_file").to_pylist(), batch.column("source_row").to_pylist(), strict=True)
                kept.update(f"{file}#{row}" for file, row in rows)
                yield batch

        def accounting(n_rows: int) -> Accounting:
            n_in = documents.manifest().n_rows
            n_with = _documents_with_computations(computations)
            dropped = {NO_COMPUTATION: n_in - n_with, NONE_VERIFIED: n_with - len(kept)}
            # The separated form makes two documents of one.
            return Accounting(
                n_in=n_in + n_rows - len(kept), n_kept=n_rows, dropped={k: n for k, n in dropped.items() if n}
            )

        return TableBuild(
            recipe=Recipe(
                code_version=CODE_VERSION,
                inputs=input_versions(documents, computations),
                config={"verdicts": list(config.verdicts)},
            ),
            batches=batches,
            accounting=accounting,
        )

    build.__doc__ = what
    return build


def _documents_with_computations(computations: Any) -> int:
    """Documents with at least one row; rows of a document stand together."""
    n_documents, last = 0, None
    for batch in computations.batches(columns=["doc_id"]):
        for doc_id in batch.column("doc_id").to_pylist():
            n_documents += doc_id != last
            last = doc_id
    return n_documents


def _assets(table: ComponentTable) -> list[LakeAsset]:
    web = table.translated_from
    common: dict[str, Any] = {"group": GROUP, "partitioned_by": table.source, "automation": BUILD_WHEN_CHANGED}
    sources, computations = f"clean/{web}", computations_key(web)
    return [
        LakeAsset(
            key=completions_key(web),
            build=_completions(web),
            schema=COMPLETION,
            deps=[sources],
            checks=[rows_add_up(COMPLETION)],
            kinds=frozenset({"parquet", "openai"}),
            is_alone=asks_a_model,
            **common,
        ),
        LakeAsset(
            key=computations,
            build=_computations(web),
            schema=VERIFIED_COMPUTATION,
            deps=[sources, completions_key(web)],
            checks=[rows_add_up(VERIFIED_COMPUTATION), VERIFIED_SHARE],
            kinds=frozenset({"parquet", "python"}),
            preview=computations_preview,
            **common,
        ),
        LakeAsset(
            key=table.documents,
            build=_documents(
                web,
                paired,
                "One row is a clean document's verified computations, text and code paired (paper section 2): "
                "conditions, expression, result and program of each.",
            ),
            schema=DOCUMENT,
            deps=[sources, computations],
            checks=[rows_add_up(DOCUMENT, rows_of(sources))],
            kinds=frozenset({"parquet"}),
            preview=document_preview,
            **common,
        ),
        LakeAsset(
            key=f"separated/{web}",
            build=_documents(
                web,
                separated,
                "The same computations with text and code in documents of their own: the ablation of the paper's "
                "Table 4. Not part of the pile.",
            ),
            schema=DOCUMENT,
            deps=[sources, computations],
            checks=[rows_add_up(DOCUMENT)],
            kinds=frozenset({"parquet"}),
            preview=document_preview,
            **common,
        ),
    ]


ASSETS: list[LakeAsset] = [asset for table in TRANSLATED_TABLES for asset in _assets(table)]
