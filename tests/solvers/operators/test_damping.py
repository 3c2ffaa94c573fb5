"""Inverses that may meet zeros."""

import torch

from solvers.operators.damping import reciprocal, tikhonov


def test_reciprocals_of_what_is_there():
    values = torch.tensor([4.0, 1e-14, 0.0, 0.5], dtype=torch.float64)
    assert reciprocal(values, 0.0).tolist() == [0.25, 0, 0, 2]
    assert torch.allclose(reciprocal(values, 0.5), 1 / (values + 0.5))
    assert values.tolist() == [4, 1e-14, 0, 0.5]


def test_tikhonov_against_the_normal_equations():
    rng = torch.Generator().manual_seed(0)
    h, y = (torch.randn(*s, generator=rng, dtype=torch.float64) for s in ((5, 8), (2, 5)))
    found = tikhonov(lambda x: x @ h.T, lambda r: r @ h, y, 0.1)
    expected = torch.linalg.solve(h.T @ h + 0.1 * torch.eye(8), h.T @ y.T).T
    assert torch.allclose(found, expected, atol=1e-12)
