"""The model: documents packed together do not see each other, and what is exported is what was trained."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mathcode_assets.training.packed import PackedData, rank_batches
from mathcode_assets.training.spec import SpecError, parse_spec
from mathcode_assets.training.tokenizer_files import find_tokenizer
from mathcode_assets_tests.training.jobs import SHAPE, forkserver, job, losses, run
from mathcode_assets_tests.training.packed_folder import write_packed_folder

pytestmark = pytest.mark.train

# Sums of fp32 in another order, on logits near 1.
TOLERANCE = 1e-5


def built(packed: Path, **sections: Any) -> tuple[Any, PackedData]:
    from mathcode_assets.training.model import build_model

    spec = parse_spec(job(packed, packed / "out", **sections))
    data = PackedData(spec)
    return build_model(spec, data), data


def lively(model: Any) -> Any:
    """Weights ten times as large as at the start of training, so that attention matters to the logits."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(10)
    return model.eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_logits_equal_separate_logits(attention: str, packed: Path) -> None:
    import torch

    from mathcode_assets.training.model import model_inputs

    model, data = built(packed, model={"attention": attention})
    lively(model)
    batch = data.batch([0, 5, 40])
    inputs = model_inputs(batch, device="cpu", flatten=False)
    flat = model_inputs(batch, device="cpu", flatten=True)
    compared = 0
    with torch.no_grad():
        together = model(**inputs).logits
        in_one_row = model(**flat).logits.reshape(together.shape)
        assert torch.allclose(in_one_row, together, atol=TOLERANCE)
        for row in range(3):
            starts = [*np.flatnonzero(batch.position_ids[row] == 0), data.length]
            for start, end in itertools.pairwise(starts):
                alone = model(input_ids=inputs["input_ids"][row : row + 1, start:end], use_cache=False).logits
                assert torch.allclose(together[row : row + 1, start:end], alone, atol=TOLERANCE)
                compared += 1
        with_mask = model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"])).logits
    assert compared > 6
    # The trap this guards against: a mask of ones, and documents see each other.
    assert not torch.allclose(with_mask, together, atol=0.1)


def test_a_row_predicts_nothing_of_the_next_when_flattened(packed: Path) -> None:
    import torch

    from mathcode_assets.training.model import model_inputs

    model, data = built(packed)
    lively(model)
    batch = data.batch([1, 2])
    with torch.no_grad():
        losses = [
            float(
                model(**model_inputs(batch, device="cpu", flatten=flatten), num_items_in_batch=batch.n_predicted).loss
            )
            for flatten in (False, True)
        ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_attention_across_documents_is_refused_before_the_first_step(packed: Path) -> None:
    import torch

    from mathcode_assets.training.model import check_documents_apart

    model, _ = built(packed)
    lively(model)
    check_documents_apart(model, device="cpu", vocab_size=60, flatten=False)

    def leaking(**inputs: Any) -> Any:
        return model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]))

    leaking.eval = leaking.train = lambda: None  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="attend to each other"):
        check_documents_apart(leaking, device="cpu", vocab_size=60, flatten=False)


def test_labels_count_once_and_not_at_starts_or_padding(packed: Path) -> None:
    data = PackedData(parse_spec(job(packed, packed / "out")))
    batch = data.batch(range(data.n_sequences))
    starts = batch.position_ids == 0
    assert (batch.labels[starts] == -100).all()
    predicted = batch.labels != -100
    assert (batch.labels[predicted] == batch.input_ids[predicted]).all()
    assert batch.n_predicted == predicted[:, 1:].sum() == predicted.sum()
    assert batch.n_tokens == json.loads((packed / "packing.json").read_text())["n_tokens"]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_share_each_step_and_an_epoch_reads_each_sequence_once(world_size: int, packed: Path) -> None:
    data = PackedData(parse_spec(job(packed, packed / "out")))
    epoch = [data.step_indices(step) for step in range(8)]
    assert sorted(np.concatenate(epoch)) == list(range(64))
    assert not np.array_equal(epoch[0], data.step_indices(8))  # another order in the next epoch
    whole = data.batch(epoch[3]).input_ids
    parts = [
        batch.input_ids
        for rank in range(world_size)
        for batch in rank_batches(data, step=3, micro=2, rank=rank, world_size=world_size)
    ]
    assert sorted(map(tuple, np.concatenate(parts))) == sorted(map(tuple, whole))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus_fingerprint": "f" * 64}, "the job wants ffffffffffff"),
        ({"model": {"sequence_length": 64}}, "packed at 32 tokens, model.sequence_length wants 64"),
        ({"data": "nowhere"}, "is no packed folder"),
    ],
)
def test_the_data_must_be_what_was_asked_for(changes: dict[str, Any], message: str, packed: Path) -> None:
    with pytest.raises(SpecError, match=message):
        PackedData(parse_spec(job(packed, packed / "out") | changes))


@pytest.mark.parametrize(
    ("shape", "message"),
    [({"vocab_size": 50}, "a vocabulary of 50, the data was packed with 60"), ({"max_positions": 16}, "16 positions")],
)
def test_the_model_must_fit_the_data(shape: dict[str, int], message: str, packed: Path) -> None:
    with pytest.raises(SpecError, match=message):
        built(packed, model={"shape": SHAPE | shape})


@pytest.mark.parametrize(
    ("stage", "tied", "precision"),
    [(2, True, "fp32"), pytest.param(0, False, "bf16", marks=pytest.mark.slow), (3, True, "bf16")],
)
def test_the_export_loads_in_transformers_and_gives_the_trained_models_logits(
    stage: int, tied: bool, precision: str, tmp_path: Path
) -> None:
    import torch
    import transformers

    packed = write_packed_folder(tmp_path / "packed")
    settings = {"zero_stage": stage, "precision": precision}
    shape = {**SHAPE, "tie_embeddings": tied}
    given = job(packed, tmp_path / "run", deepspeed=settings, model={"shape": shape}, duration={"steps": 3})
    folder = run(given, world_size=2 if stage == 3 else 1)
    exported, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder.export, output_loading_info=True, dtype="auto"
    )
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert (exported.lm_head.weight is exported.model.embed_tokens.weight) == tied
    assert exported.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    # What was trained, from the checkpoint by DeepSpeed's own reader (stage 0 has nothing to put together).
    trained, data = built(packed, deepspeed=settings, model={"shape": shape})
    trained.load_state_dict(checkpoint_weights(folder.checkpoint(3), stage), strict=False)
    ids = torch.from_numpy(data.batch([3, 4]).input_ids)
    with torch.no_grad():
        expected, found = trained.eval()(ids, use_cache=False).logits, exported.eval()(ids, use_cache=False).logits
    assert torch.equal(found, expected)
    assert exported.config.mathcode_training["config_hash"] == json.loads(folder.result.read_text())["config_hash"]
    stamps = json.loads((folder.export / "mathcode_training.json").read_text())
    assert stamps["lineage"] == {"pile": "version 7"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder.export)
    assert tokenizer.eos_token_id == 1 and tokenizer.decode([7]) == "w7"


def checkpoint_weights(path: Path, stage: int) -> dict[str, Any]:
    import torch
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    if stage == 0:
        return torch.load(path / "mp_rank_00_model_states.pt", weights_only=False)["module"]
    return get_fp32_state_dict_from_zero_checkpoint(str(path.parent), tag=path.name)


def test_a_model_folder_is_trained_further(tmp_path: Path) -> None:
    packed = write_packed_folder(tmp_path / "packed")
    first = run(job(packed, tmp_path / "first", duration={"steps": 3}))
    # ZeRO-3 shards the weights while they are read; the other stages read them whole.
    curves = []
    for stage in (2, 3):
        given = job(packed, tmp_path / f"more-{stage}", deepspeed={"zero_stage": stage}, duration={"steps": 2})
        curves.append(losses(run(given | {"model": {"path": str(first.export), "shape": None}})))
    assert curves[0][0] < losses(first)[0] - 0.02
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)


def test_another_tokenizer_than_the_data_was_packed_with_is_refused(tmp_path: Path) -> None:
    packed = write_packed_folder(tmp_path / "packed")
    spec = parse_spec(job(packed, tmp_path / "run"))
    data = PackedData(spec)
    assert find_tokenizer(spec, data) == [packed / "tokenizer.json"]
    with (packed / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(SpecError, match="packed with"):
        find_tokenizer(spec, data)
    (packed / "tokenizer.json").unlink()
    with pytest.raises(SpecError, match="is needed"):
        find_tokenizer(spec, data)


def frequencies_of_an_engine(given: dict[str, Any]) -> None:
    import os

    import torch

    from mathcode_assets.training import worker
    from mathcode_assets.training.run_folder import RunFolder

    os.environ.update(
        {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    )
    spec = parse_spec(given)
    run = worker.start(spec, PackedData(spec), RunFolder(Path(spec.output)))
    engine, _ = worker.open_engine(run)
    frequencies = engine.module.model.rotary_emb.inv_freq
    assert engine.module.dtype == torch.bfloat16 and frequencies.dtype == torch.float32
    # bf16 would be off by up to 4e-3.
    assert torch.allclose(frequencies, 10_000.0 ** -(torch.arange(0, 16, 2) / 16), rtol=1e-6)


@pytest.mark.parametrize("stage", [2, 3])
def test_rotary_frequencies_stay_exact_in_bf16(stage: int, packed: Path, tmp_path: Path) -> None:
    given = job(packed, tmp_path / "run", deepspeed={"zero_stage": stage, "precision": "bf16"})
    (tmp_path / "run").mkdir()
    process = forkserver().Process(target=frequencies_of_an_engine, args=(given,))
    process.start()
    process.join()
    assert process.exitcode == 0
