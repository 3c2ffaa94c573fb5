"""Small Gaussian denoisers with every parameter random and not zero."""

import torch
from torch import nn

from priors.gaussian import GAUSSIAN


def random_network(name: str, seed: int = 0) -> nn.Module:
    """Four convolutions of eight channels, every parameter random and not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = GAUSSIAN[name](depth=4, width=8)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval().requires_grad_(False)
