"""Denoising: nothing between the image and its measurement."""

import torch

from solvers.operators.identity import Identity


def test_prox_is_the_weighted_mean():
    y, v = torch.full((1, 1, 2, 2), 4.0), torch.full((1, 1, 2, 2), 1.0)
    assert torch.allclose(Identity((1, 2, 2)).prox(y, v, 2.0), torch.full((1, 1, 2, 2), 2.0))


def test_inverse():
    y = torch.randn(1, 3, 4, 5)
    identity = Identity((3, 4, 5))
    assert torch.equal(identity.forward(identity.pseudoinverse(y)), y)
    assert identity.output_shape == (3, 4, 5)
