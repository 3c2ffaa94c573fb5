"""The processes of a run: one, or several that `accelerate launch` or `torchrun` started, each with its own device."""

from typing import Any

import torch
from torch import Tensor, nn

from priors.training.config import TrainingConfig, TrainingError


class Processes:
    """This process among the `count` of the run; number `rank`, of which 0 alone writes. accelerator: None for one."""

    def __init__(self, device: torch.device, accelerator: Any = None):
        self.device = device
        self.accelerator = accelerator
        self.rank: int = accelerator.process_index if accelerator else 0
        self.count: int = accelerator.num_processes if accelerator else 1

    def check(self, config: TrainingConfig) -> None:
        """Raise TrainingError for what cannot be done on this device, or with so many."""
        if config.compile and self.device.type != "cuda":
            raise TrainingError(f"--compile is for CUDA, this is {self.device.type}")
        largest = max(config.crop_sizes)
        if config.batch_pixels < self.count * largest**2:
            crops = f"has not a crop of {largest} px for each of {self.count} processes"
            raise TrainingError(f"--batch-pixels {config.batch_pixels} {crops}")

    def average_gradients(self, network: nn.Module) -> None:
        """Over all processes, in one message.

        Not by DistributedDataParallel: accelerate keeps each network that it wraps, and so the process group (`leave`).
        """
        if self.accelerator:
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            mean = self.accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
            for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view(gradient.shape))

    def rows(self, count: int) -> range:
        """The rows of a batch that are this process's."""
        return range(self.rank, count, self.count)

    def mean(self, value: Tensor) -> float:
        """Of a number that each process has."""
        return float(self.accelerator.reduce(value, "mean") if self.accelerator else value)

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return self.mean(torch.tensor(float(flag), device=self.device)) > 0 if self.accelerator else flag

    def leave(self) -> None:
        """At the end of the run. No thread of the process group is left: one that frees a tensor while the interpreter
        is taken down aborts the process (pytorch/pytorch#179291)."""
        if self.accelerator:
            self.accelerator.end_training()


def join_processes(config: TrainingConfig) -> Processes:
    """Raises TrainingError for a device that is not there, and where `Processes.check` does."""
    launched = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    processes = _accelerated(config) if launched else Processes(training_device(config.device))
    processes.check(config)
    return processes


def _accelerated(config: TrainingConfig) -> Processes:
    try:
        from accelerate import Accelerator  # only ever needed here, by who trains on several devices
    except ImportError as error:
        raise TrainingError("several processes need accelerate: pip install 'rediffuse[training]'") from error
    if config.device not in ("auto", "cpu"):
        raise TrainingError(f"--device {config.device}: of several processes each has its own, say auto or cpu")
    import torch._dynamo  # noqa: F401  imported once there is a group, as by diffusers, it keeps that for good

    on_cpu = training_device(config.device).type == "cpu"  # accelerate joins no processes on a CPU unless told
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no")  # `Objective` has its own autocast
    return Processes(accelerator.device, accelerator)


def training_device(name: str) -> torch.device:
    """Raises TrainingError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was not built for CUDA
        raise TrainingError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error
    return device
