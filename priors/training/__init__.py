"""Train a pixel-space diffusion prior: `python -m priors.training --data FOLDER --out RUN`.

A run folder holds

    training.json   the configuration
    checkpoint.pt   weights, their average, optimiser and step: the same command again goes on from there
    loss.jsonl      one line a checkpoint: losses, PSNR per noise level of held-out photographs, speed
    curves.json, curves.png   the same as columns and as a picture
    prior/          the averaged weights of the last checkpoint, in the layout that `priors.store` loads

`config` has every option, `objective` the loss, `state` one optimiser step, `loop` the run.
"""

from priors.training.config import TrainingConfig, TrainingError

__all__ = ["TrainingConfig", "TrainingError"]
