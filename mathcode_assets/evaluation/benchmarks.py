"""What is measured: one row for each benchmark.

| kind | the model | right if |
|---|---|---|
| reasoning | writes a worked solution | the answer taken from it is verified against the reference |
| likelihood | is shown the options | the letter of the right one is the likeliest continuation |
| option_letter | writes a worked solution | the letter it ends with is the right one |
| program | completes a program | the program passes the benchmark's tests in the sandbox |
| harness | as lm-evaluation-harness has it | its own metric says so |
| perplexity | predicts every token of held-out text | nothing is right or wrong: nats, bits (see `held_out`) |

The paper evaluates 4-shot and text-only (MathCoder2, section 3). For multiple choice it does not say in the facts we
have whether options were scored or a letter was written, so both are here: `sat_math` and `mmlu_math` by likelihood,
`sat_math_written` and `mmlu_math_written` by the letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

REASONING = "reasoning"
LIKELIHOOD = "likelihood"
OPTION_LETTER = "option_letter"
PROGRAM = "program"
HARNESS = "harness"
PERPLEXITY = "perplexity"
KINDS = (REASONING, LIKELIHOOD, OPTION_LETTER, PROGRAM, HARNESS, PERPLEXITY)
# Kinds whose items are read by `items`.
WITH_ITEMS = (REASONING, LIKELIHOOD, OPTION_LETTER, PROGRAM)

MATHEMATICS = "mathematics"
FORGETTING = "forgetting"
CODE = "code"

# Paper: 4-shot. Each set of exemplars has four.
DEFAULT_SHOTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HubDataset:
    """A data set on the hub.

    Attributes:
        path: owner/name.
        configs: read one after another; ("",) for a data set without configurations.
        split: the one that is evaluated.
    """

    path: str
    configs: tuple[str, ...] = ("",)
    split: str = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """How one benchmark is asked and scored.

    Attributes:
        name: as in specifications and tables.
        title: as in the paper's tables.
        kind: one of KINDS.
        group: mathematics, forgetting or code.
        file: stem of the local file, `<data>/<file>.jsonl`; also the benchmark's name in the contamination tables.
        exemplars: name of the set in `exemplars`; empty where there are none.
        max_new_tokens: of a completion.
        hub: where the items are without a local file; None where no openly readable copy is known.
        harness_task: name of lm-evaluation-harness's own task.
        metric: of the harness task that says whether an item is right.
        paper_column: name in `paper.SCORES`; empty where the paper has none.
        licence: of the items, SPDX or in words.
    """

    name: str
    title: str
    kind: str
    group: str
    file: str = ""
    exemplars: str = ""
    max_new_tokens: int = 0
    hub: HubDataset | None = None
    harness_task: str = ""
    metric: str = ""
    paper_column: str = ""
    licence: str = "unknown"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind {self.kind!r} is none of {KINDS}")


_MMLU = HubDataset(
    path="cais/mmlu",
    # 216 + 270 + 378 + 100 = 964 questions, in the order of the reference's file.
    configs=("high_school_statistics", "high_school_mathematics", "elementary_mathematics", "college_mathematics"),
)
_MATH = HubDataset(
    path="EleutherAI/hendrycks_math",
    configs=(
        "algebra",
        "counting_and_probability",
        "geometry",
        "intermediate_algebra",
        "number_theory",
        "prealgebra",
        "precalculus",
    ),
)

_ALL = (
    Benchmark(
        name="gsm8k",
        title="GSM8K",
        kind=REASONING,
        group=MATHEMATICS,
        file="gsm8k",
        exemplars="word_problem",
        max_new_tokens=320,
        hub=HubDataset(path="openai/gsm8k", configs=("main",)),
        paper_column="gsm8k",
        licence="MIT",
    ),
    Benchmark(
        name="math",
        title="MATH",
        kind=REASONING,
        group=MATHEMATICS,
        file="math",
        exemplars="competition",
        max_new_tokens=768,
        hub=_MATH,
        paper_column="math",
        licence="MIT",
    ),
    Benchmark(
        name="sat_math",
        title="SAT",
        kind=LIKELIHOOD,
        group=MATHEMATICS,
        file="sat_math",
        exemplars="multiple_choice",
        paper_column="sat_math",
        licence="not open (College Board)",
    ),
    Benchmark(
        name="ocw",
        title="OCW",
        kind=REASONING,
        group=MATHEMATICS,
        file="ocw",
        exemplars="science",
        max_new_tokens=768,
        paper_column="ocw",
        licence="CC-BY-NC-SA-4.0",
    ),
    Benchmark(
        name="mmlu_math",
        title="MMLU-math",
        kind=LIKELIHOOD,
        group=MATHEMATICS,
        file="mmlu_math",
        exemplars="multiple_choice",
        hub=_MMLU,
        paper_column="mmlu_math",
        licence="MIT",
    ),
    Benchmark(
        name="svamp",
        title="SVAMP",
        kind=REASONING,
        group=MATHEMATICS,
        file="svamp",
        exemplars="word_problem",
        max_new_tokens=256,
        hub=HubDataset(path="ChilleD/SVAMP"),
        licence="MIT",
    ),
    Benchmark(
        name="olympiadbench",
        title="OlympiadBench",
        kind=REASONING,
        group=MATHEMATICS,
        file="olympiadbench",
        exemplars="competition",
        max_new_tokens=1024,
        hub=HubDataset(path="Hothan/OlympiadBench", configs=("OE_TO_maths_en_COMP",), split="train"),
        licence="Apache-2.0",
    ),
    Benchmark(
        name="sat_math_written",
        title="SAT (letter written)",
        kind=OPTION_LETTER,
        group=MATHEMATICS,
        file="sat_math",
        exemplars="multiple_choice",
        max_new_tokens=512,
        paper_column="sat_math",
        licence="not open (College Board)",
    ),
    Benchmark(
        name="mmlu_math_written",
        title="MMLU-math (letter written)",
        kind=OPTION_LETTER,
        group=MATHEMATICS,
        file="mmlu_math",
        exemplars="multiple_choice",
        max_new_tokens=512,
        hub=_MMLU,
        paper_column="mmlu_math",
        licence="MIT",
    ),
    Benchmark(
        name="hellaswag",
        title="HellaSwag",
        kind=HARNESS,
        group=FORGETTING,
        harness_task="hellaswag",
        metric="acc_norm",
        paper_column="hellaswag",
        licence="MIT",
    ),
    Benchmark(
        name="piqa",
        title="PIQA",
        kind=HARNESS,
        group=FORGETTING,
        harness_task="piqa",
        metric="acc_norm",
        paper_column="piqa",
        licence="AFL-3.0",
    ),
    Benchmark(
        name="winogrande",
        title="WinoGrande",
        kind=HARNESS,
        group=FORGETTING,
        harness_task="winogrande",
        metric="acc",
        paper_column="winogrande",
        licence="Apache-2.0",
    ),
    Benchmark(
        name="humaneval",
        title="HumanEval",
        kind=PROGRAM,
        group=CODE,
        file="humaneval",
        max_new_tokens=512,
        hub=HubDataset(path="openai/openai_humaneval"),
        licence="MIT",
    ),
    Benchmark(
        name="mbpp",
        title="MBPP",
        kind=PROGRAM,
        group=CODE,
        file="mbpp",
        max_new_tokens=512,
        hub=HubDataset(path="google-research-datasets/mbpp", configs=("full",)),
        licence="CC-BY-4.0",
    ),
    Benchmark(name=PERPLEXITY, title="held-out text", kind=PERPLEXITY, group=MATHEMATICS),
)

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}

# The five columns of the paper's Table 2, in its order.
PAPER_TABLE: tuple[str, ...] = ("math", "gsm8k", "sat_math", "ocw", "mmlu_math")


def benchmark_of(task: str, like: Mapping[str, str]) -> Benchmark:
    """The benchmark of a task: a known one, or one's own file that is asked and judged like a known one.

    Args:
        task: a name in BENCHMARKS or in `like`.
        like: own benchmarks: name of task and local file -> name in BENCHMARKS.

    Raises:
        KeyError: neither knows the task.
    """
    if task not in like:
        return BENCHMARKS[task]
    return replace(BENCHMARKS[like[task]], name=task, title=task, file=task, hub=None, paper_column="", licence="own")


def title_of(task: str) -> str:
    """How tables call a task; one's own benchmark by its name."""
    return BENCHMARKS[task].title if task in BENCHMARKS else task


def paper_column_of(task: str) -> str:
    """Its column of the paper's tables; empty where there is none."""
    return BENCHMARKS[task].paper_column if task in BENCHMARKS else ""


def file_of(task: str) -> str:
    """The stem of its file, by which the contamination tables call it; empty where it has none."""
    return BENCHMARKS[task].file if task in BENCHMARKS else task
