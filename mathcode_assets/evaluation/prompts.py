"""What the model is shown: exemplars, then the question, in one format for each kind of benchmark.

Solutions end with one sentence that states the answer, in a box where the benchmark's answers are formulas. A
completion ends where the model begins another problem.
"""

from __future__ import annotations

from mathcode_assets.evaluation.benchmarks import LIKELIHOOD, OPTION_LETTER, PROGRAM, REASONING, Benchmark
from mathcode_assets.evaluation.exemplars import EXEMPLARS, Exemplar
from mathcode_assets.evaluation.items import Item, letters

# Where generation ends. The completions protocol takes four, and the harness adds the model's end of text, so three
# at most; whatever else ends an answer is cut afterwards (`answers.own_part`, `programs.cut`).
STOPS = ("\nProblem:", "\nQuestion:")
# No definition and no fence among them: a model that begins with a fenced block would be stopped before its answer.
PROGRAM_STOPS = ("\nif __name__", "\nprint(", "\nassert ")

_BOXED_SETS = ("competition", "science")


def prompt_of(item: Item, benchmark: Benchmark, n_shots: int) -> str:
    """The whole prompt; the completion begins right after it.

    Raises:
        ValueError: more exemplars are asked for than there are.
    """
    if benchmark.kind == PROGRAM:
        return program_prompt(item)
    shown = exemplars_of(benchmark, n_shots)
    return "\n\n".join([*(_example(exemplar, benchmark) for exemplar in shown), _question(item, benchmark)])


def exemplars_of(benchmark: Benchmark, n_shots: int) -> tuple[Exemplar, ...]:
    """The first n_shots exemplars of a benchmark's style.

    Raises:
        ValueError: there are not so many.
    """
    known = EXEMPLARS[benchmark.exemplars]
    if not 0 <= n_shots <= len(known):
        raise ValueError(f"{benchmark.name}: {n_shots} exemplars asked for, there are {len(known)}")
    return known[:n_shots]


def stops_of(benchmark: Benchmark) -> tuple[str, ...]:
    """Where generation ends."""
    return PROGRAM_STOPS if benchmark.kind == PROGRAM else STOPS


def choices_of(item: Item, benchmark: Benchmark) -> tuple[str, ...]:
    """The continuations whose likelihoods are compared; empty for a benchmark that is written."""
    return letters(item) if benchmark.kind == LIKELIHOOD else ()


def program_prompt(item: Item) -> str:
    """HumanEval: the beginning of the function. MBPP: the task and its first test in a docstring."""
    if item.entry_point:
        return item.question + "\n"
    first_test = next((line for line in item.tests.splitlines() if line.startswith("assert")), "")
    return f'"""\n{item.question}\n{first_test}\n"""\n'


def answer_sentence(answer: str, benchmark: Benchmark) -> str:
    """How an exemplar states its answer."""
    if benchmark.exemplars in _BOXED_SETS:
        return f"The answer is $\\boxed{{{answer}}}$."
    return f"The answer is {answer}."


def _example(exemplar: Exemplar, benchmark: Benchmark) -> str:
    head = _head(exemplar.question, exemplar.options)
    if benchmark.kind == LIKELIHOOD:
        return f"{head}\nAnswer: {exemplar.answer}"
    return f"{head}\nSolution: {exemplar.solution} {answer_sentence(exemplar.answer, benchmark)}"


def _question(item: Item, benchmark: Benchmark) -> str:
    head = _head(item.question, item.options)
    if benchmark.kind == LIKELIHOOD:
        return f"{head}\nAnswer:"
    if benchmark.kind in (REASONING, OPTION_LETTER):
        return f"{head}\nSolution:"
    raise ValueError(f"{benchmark.name}: no prompt of ours for kind {benchmark.kind}")


def _head(question: str, options: tuple[str, ...]) -> str:
    lines = [f"Problem: {question}"]
    lines += [f"{chr(ord('A') + number)}. {option}" for number, option in enumerate(options)]
    return "\n".join(lines)
