"""From packed sequences to a trained model: job specification, dry run, worker and launchers.

    spec.py       one job specification file, read strictly          no torch
    strict_reader.py  dataclasses from a mapping                     no torch
    presets.py    the paper's models, the ablation model, `tiny`     no torch
    plan.py       what a job will cost, before it is submitted       no torch
    schedule.py   the learning rate of a step                        no torch
    run_folder.py the output folder: lock, checkpoints, metrics      no torch
    packed.py     the sequences of a step and of a rank              no torch
    worker.py     the entry point on a worker (with model.py, checkpoints.py)
    launchers.py  start the worker here or as a Ray job, follow it, cancel it

torch, transformers and deepspeed are imported inside functions of the last two rows' modules only;
nothing here knows Dagster.
"""
