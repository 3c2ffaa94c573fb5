"""Conjugate gradients (Hestenes and Stiefel 1952) for many right-hand sides that never meet."""

from collections.abc import Callable

import torch
from torch import Tensor

Linear = Callable[[Tensor], Tensor]

TOLERANCE_EPS = 8
"""The residual is brought down to this many units of rounding, relative to the right-hand side."""
MAX_STEPS = 250
"""Enough for a condition of 1000 in single precision. Beyond, what is left is in the weakest patterns, where stopping
early is a little more damping."""


def conjugate_gradients(apply: Linear, b: Tensor, max_steps: int = MAX_STEPS) -> Tensor:
    """x with A x = b, from x = 0.

    apply: x -> A x, symmetric and positive semi-definite, b in its range; of several solutions x is that of least norm.
    b: (N, ...), each row a system with its own scalars. A row that is solved rests, so that it is the same in any
    company; one that is not after `max_steps` is returned as far as it came.

    The condition of H^T H + rho is at most |H|^2 / rho + 1, so the steps go with its square root.
    """
    x = 0 * b  # and not zeros: what is not finite stays so
    r, p = b.clone(), b.clone()
    error = _inner(r, r)  # (N,)
    goal = (TOLERANCE_EPS * torch.finfo(b.dtype).eps) ** 2 * error
    for _ in range(max_steps):
        going = error > goal
        if not going.any():
            break
        q = apply(p)
        step = torch.where(going, error / _inner(p, q), 0)
        x.addcmul_(p, _column(step, p))
        r.addcmul_(q, _column(step, q), value=-1)
        last, error = error, _inner(r, r)
        p.mul_(_column(torch.where(going, error / last, 0), p)).add_(r)
    return x


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """(N,), row by row."""
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))


def _column(scalars: Tensor, like: Tensor) -> Tensor:
    """(N,) as (N, 1, ...)."""
    return scalars.reshape(-1, *[1] * (like.ndim - 1))
