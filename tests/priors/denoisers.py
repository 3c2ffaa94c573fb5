"""Small Gaussian denoisers with every parameter random and not zero."""

import torch
from torch import nn

from priors.gaussian import GAUSSIAN

STACK = {"depth": 4, "width": 8}
SIZES = {"DnCNN": STACK, "BiasFreeDnCNN": STACK, "FFDNet": STACK, "NoiseMapUNet": {"widths": [8, 12], "blocks": 1}}


def random_network(name: str, seed: int = 0) -> nn.Module:
    """Of eight channels, every parameter random and not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = GAUSSIAN[name](**SIZES[name])
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval().requires_grad_(False)
