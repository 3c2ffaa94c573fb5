"""The largest eigenvalue of a symmetric map that is known only by what it does (Lanczos 1950)."""

import torch

from solvers.operators.conjugate_gradients import Linear

TOLERANCE = 1e-8
"""Of the residual |A u - theta u| / theta; the error of the eigenvalue goes with its square."""
MAX_STEPS = 80


def largest_eigenvalue(apply: Linear, shape: tuple[int, ...], max_steps: int = MAX_STEPS) -> float:
    """Of x -> A x, positive semi-definite, on float64 tensors (1, *shape).

    From below, and after `max_steps` as far as it came: the top of the spectrum of a large blur is dense, but then the
    largest of many neighbours is a matter of the last digits.
    """
    v = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    v /= v.norm()
    previous, beta, theta = torch.zeros_like(v), 0.0, 0.0
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(max_steps):
        w = torch.sub(apply(v), previous, alpha=beta)
        diagonal.append(float((w * v).sum()))
        w.sub_(v, alpha=diagonal[-1])
        beta = float(w.norm())
        off = torch.diag(torch.tensor(beside, dtype=torch.float64), 1)
        values, vectors = torch.linalg.eigh(torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + off + off.mT)
        theta = float(values[-1])
        if beta * abs(float(vectors[-1, -1])) <= TOLERANCE * theta:
            break
        beside.append(beta)
        previous, v = v, w.div_(beta)
    return max(theta, 0.0)
