"""Useful tokens a second: the worker on packed sequences beside Hugging Face's Trainer on padded ones.

    mathcode pack --length 1024 --input tokens --output packed
    python benchmarks/training.py --packed packed

Same model, same documents, same DeepSpeed stage and precision, same number of positions in a step. Trainer gets
what the reference's scripts make: documents one after the other until the next does not fit, then
padding, with an attention mask over all of the sequence. Useful tokens are those that are no padding.
Each side runs in a process of its own, in turns; start-up and the first steps are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mathcode_assets.tokenization.sequences import PackedDataset

WARM_STEPS = 3
SIDES = ("worker", "trainer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--packed", type=Path, required=True, help="a folder made by `mathcode pack`")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json it was tokenized with")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--micro", type=int, default=4)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps({"worker": run_worker, "trainer": run_trainer}[arguments.side](arguments)))
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(arguments.rounds):
        for side in SIDES:
            found[side].append(in_a_process(side))
    for side, runs in found.items():
        wall = statistics.median(run["useful"] / run["wall_s"] for run in runs)
        cpu = statistics.median(run["useful"] / run["cpu_s"] for run in runs)
        padding = 1 - runs[0]["useful"] / runs[0]["positions"]
        print(f"{side:<8}{wall:10,.0f} useful tokens/s{cpu:10,.0f} per CPU-s   {padding:6.2%} padding")
    for clock in ("wall_s", "cpu_s"):
        rates = {side: statistics.median(run["useful"] / run[clock] for run in runs) for side, runs in found.items()}
        print(f"worker / trainer by {clock}: {rates['worker'] / rates['trainer']:.2f}")


def in_a_process(side: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "RANK": "0", "LOCAL_RANK": "0"}
    environment |= {"WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *sys.argv, "--side", side], env=environment, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def job(arguments: argparse.Namespace, output: str) -> Any:
    from mathcode_assets.training.spec import parse_spec

    return parse_spec(
        {
            "preset": "tiny",
            "data": str(arguments.packed),
            "output": output,
            "model": {"tokenizer": str(arguments.tokenizer)},
            "duration": {"steps": arguments.steps + WARM_STEPS},
            "batch": {"sequences": arguments.sequences, "micro_per_gpu": arguments.micro},
        }
    )


class Clock:
    """Wall and CPU seconds since the last warm step."""

    def __init__(self) -> None:
        self.begin = self.now()

    @staticmethod
    def now() -> tuple[float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return time.perf_counter(), used.ru_utime + used.ru_stime

    def read(self) -> dict[str, float]:
        wall, cpu = self.now()
        return {"wall_s": wall - self.begin[0], "cpu_s": cpu - self.begin[1]}


def run_worker(arguments: argparse.Namespace) -> dict[str, float]:
    from mathcode_assets.training import worker
    from mathcode_assets.training.packed import PackedData
    from mathcode_assets.training.run_folder import RunFolder

    with tempfile.TemporaryDirectory() as output:
        spec = job(arguments, output)
        run = worker.start(spec, PackedData(spec), RunFolder(Path(output)))
        engine, _ = worker.open_engine(run)
        for step in range(WARM_STEPS):
            worker.train_step(run, engine, step)
        clock = Clock()
        useful = sum(
            worker.train_step(run, engine, step)["tokens"] for step in range(WARM_STEPS, WARM_STEPS + arguments.steps)
        )
        return {**clock.read(), "useful": useful, "positions": arguments.steps * arguments.sequences * run.data.length}


def run_trainer(arguments: argparse.Namespace) -> dict[str, float]:
    import torch
    import transformers

    from mathcode_assets.training.model import build_model
    from mathcode_assets.training.packed import PackedData

    rows = list(padded_rows(PackedDataset(arguments.packed), arguments.sequences * (arguments.steps + WARM_STEPS)))
    useful = [int(row["attention_mask"].sum()) for row in rows]
    clocks: list[Clock] = []

    class StartClock(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if state.global_step == WARM_STEPS:
                clocks.append(Clock())

    with tempfile.TemporaryDirectory() as output:
        spec = job(arguments, output)
        settings = transformers.TrainingArguments(
            output_dir=output,
            use_cpu=True,
            max_steps=arguments.steps + WARM_STEPS,
            per_device_train_batch_size=arguments.micro,
            gradient_accumulation_steps=arguments.sequences // arguments.micro,
            learning_rate=spec.optimizer.learning_rate,
            weight_decay=spec.optimizer.weight_decay,
            adam_beta2=spec.optimizer.betas[1],
            lr_scheduler_type="cosine",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
            deepspeed=trainer_config(spec),
        )
        trainer = transformers.Trainer(
            model=build_model(spec, PackedData(spec)),
            args=settings,
            train_dataset=[{name: torch.from_numpy(array) for name, array in row.items()} for row in rows],
            callbacks=[StartClock()],
        )
        trainer._get_train_sampler = lambda *_: (
            None
        )  # rows in their order: what is useful in the counted steps is known
        trainer.train()
        length = len(rows[0]["input_ids"])
        counted = arguments.steps * arguments.sequences
        return {**clocks[0].read(), "useful": sum(useful[-counted:]), "positions": counted * length}


def trainer_config(spec: Any) -> dict[str, Any]:
    return {
        "zero_optimization": {"stage": spec.deepspeed.zero_stage},
        "optimizer": {
            "type": "AdamW",
            "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto", "torch_adam": True},
        },
        "gradient_clipping": spec.optimizer.gradient_clip,
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
    }


def padded_rows(packed: PackedDataset, n_rows: int) -> Iterator[dict[str, np.ndarray]]:
    """The documents of the packing in another grouping: one after the other until the next does not fit."""
    row = np.empty(0, np.int64)
    made = 0
    while True:
        for piece in pieces(packed):
            if len(row) + len(piece) > packed.length:
                yield padded(row, packed)
                made += 1
                row = np.empty(0, np.int64)
                if made == n_rows:
                    return
            row = np.concatenate([row, piece])


def pieces(packed: PackedDataset) -> Iterator[np.ndarray]:
    """Document pieces in a random order: best-fit has sorted them by how they fit."""
    places = [(index, at) for index in range(len(packed)) for at in range(len(packed.pieces(index)))]
    for place in np.random.default_rng(0).permutation(len(places)):
        index, at = places[place]
        ends = np.cumsum(packed.pieces(index))
        yield packed[index]["input_ids"][ends[at] - packed.pieces(index)[at] : ends[at]]


def padded(row: np.ndarray, packed: PackedDataset) -> dict[str, np.ndarray]:
    missing = packed.length - len(row)
    return {
        "input_ids": np.pad(row, (0, missing), constant_values=packed.packing["pad_id"]),
        "labels": np.pad(row, (0, missing), constant_values=-100),
        "attention_mask": np.pad(np.ones(len(row), np.int64), (0, missing)),
    }


if __name__ == "__main__":
    main()
