"""From a checkpoint to scores beside the paper's: prompts, answers, verdicts, intervals, tables.

Read in this order: `benchmarks` (what is measured), `exemplars` and `prompts` (what the model sees), `answers` and
`judging` (what its completion says, and whether that is right), `scoring` (numbers with intervals), `spec` and
`worker` (one evaluation, in an environment of its own), `tables` and `ablation` (many of them side by side).
"""
