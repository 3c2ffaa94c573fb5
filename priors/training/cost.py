"""What a run will cost, from a few of its own steps."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from priors.training.state import Training

CROP = 64 * 64
"""Pixels of the crop that everything is counted in."""


@dataclass(frozen=True)
class Cost:
    parameters: int
    gflop: float
    """Of a crop of 64 px in a step, forward and backward; 1e9 multiplications or additions."""
    crops_per_s: float
    """Of 64 px, over all processes."""
    state_bytes: int
    """Weights, gradients, the two moments of AdamW, the average, and the weights set aside while it is evaluated."""
    activation_bytes: int
    """What a process holds between forward and backward of a step."""
    peak_bytes: int
    """Measured, where the device counts: 0 on a CPU."""
    photograph_bytes: int
    """Decoded photographs that are held."""

    @property
    def checkpoint_bytes(self) -> int:
        return 16 * self.parameters

    @property
    def prior_bytes(self) -> int:
        return 2 * self.parameters


def estimate(training: Training) -> Cost:
    """Measure, with steps that change the state: `training` has to be made anew afterwards."""
    parameters = sum(parameter.numel() for parameter in training.weights.parameters())
    flop, held = _one_crop(training)
    device = training.processes.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    speed = _crops_per_s(training)
    crops = training.config.batch_pixels / CROP / training.processes.count
    return Cost(
        parameters=parameters,
        gflop=flop / 1e9,
        crops_per_s=speed,
        state_bytes=6 * 4 * parameters,
        activation_bytes=round(held * crops),
        peak_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
        photograph_bytes=min(training.data.decoded_bytes, int(training.config.cache_gb * 1e9)),
    )


def _one_crop(training: Training) -> tuple[float, float]:
    """Operations, and bytes held for the backward pass, of one crop; from the smallest one, for its pixels."""
    size, device = min(training.config.crop_sizes), training.processes.device
    own = {parameter.untyped_storage().data_ptr() for parameter in training.weights.parameters()}
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    clean = torch.zeros(1, 3, size, size, device=device)
    draws = torch.zeros(1, training.objective.draws, device=device)
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = training.objective.losses(training.network, clean, draws, torch.ones_like(clean)).sum()
        loss.backward()
    training.optimiser.zero_grad(set_to_none=True)
    return counter.get_total_flops() * CROP / size**2, sum(held.values()) * CROP / size**2


def _crops_per_s(training: Training) -> float:
    # the first steps of a GPU choose its kernels, for each size of the crops; a CPU has not much to prepare
    warm, timed = (20, 20) if training.processes.device.type == "cuda" else (1, 3)
    for _ in range(warm):
        training.advance()
    started = time.perf_counter()
    for _ in range(timed):
        training.advance()
    return timed * training.config.batch_pixels / CROP / (time.perf_counter() - started)


def describe(cost: Cost, training: Training) -> list[str]:
    """The lines that a run begins with."""
    config, data, processes = training.config, training.data, training.processes
    left = config.steps - training.step
    hours = left * config.batch_pixels / CROP / cost.crops_per_s / 3600
    dtype = str(training.objective.dtype).removeprefix("torch.")
    each = f"{processes.count} x {processes.device.type}" if processes.count > 1 else str(processes.device)
    memory = f"{_size(cost.state_bytes)} for weights, optimiser and average, {_size(cost.activation_bytes)} for a step"
    if cost.peak_bytes:
        memory += f" (measured on the device: {_size(cost.peak_bytes)})"
    decoded = f"{_size(cost.photograph_bytes)} of decoded photographs"
    if cost.photograph_bytes < data.decoded_bytes:
        decoded += f" out of {_size(data.decoded_bytes)}, the others are decoded again for each crop (--cache-gb)"
    return [
        f"photographs  {data.count}, and {data.held_out_count} kept out for the validation",
        f"network      {cost.parameters / 1e6:.2f} M parameters, {cost.gflop:.1f} GFLOP a crop of 64 px and step",
        f"run          {config.crops} crops of 64 px in {config.steps} steps, {training.step} of them done",
        f"speed        {cost.crops_per_s:.1f} crops/s on {each} in {dtype}: {_duration(hours)} left",
        f"memory       {memory}, {decoded}",
        f"disk         checkpoint {_size(cost.checkpoint_bytes)}, prior {_size(cost.prior_bytes)}",
    ]


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _duration(hours: float) -> str:
    minutes = math.ceil(hours * 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
