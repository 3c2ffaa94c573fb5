"""Inverses of operators that all but lose some patterns of the picture, as a blur does with fine detail.

Their Moore-Penrose inverse divides by tiny singular values: it is made of amplified noise. In its place stands

    (H^T H + rho)^-1 H^T y,   rho = (damping |H|)^2   (Tikhonov),

the posterior mean of a white picture whose deviation is 1 / damping times that of white noise. No singular vector is
amplified by more than 1 / (2 damping |H|). It tends to the Moore-Penrose inverse for damping -> 0, and is it for 0.
"""

import torch
from torch import Tensor

from solvers.operators.conjugate_gradients import Linear, conjugate_gradients

DAMPING = 0.1
"""Noise at 20 dB below the picture."""
RANK_TOLERANCE = 1e-12
"""Eigenvalues of H^T H below this share of the largest count as 0: half the digits of double precision in H."""


def reciprocal(eigenvalues: Tensor, rho: float) -> Tensor:
    """1 / (eigenvalue + rho) for eigenvalues of H^T H; for rho = 0 it is 0 where the eigenvalue counts as 0."""
    if rho > 0:
        return (eigenvalues + rho).reciprocal_()
    lost = eigenvalues <= RANK_TOLERANCE * eigenvalues.max()
    return eigenvalues.reciprocal().masked_fill_(lost, 0)


def tikhonov(forward: Linear, adjoint: Linear, y: Tensor, rho: float) -> Tensor:
    """(H^T H + rho)^-1 H^T y by conjugate gradients; v + tikhonov(y - H v) is the prox at v."""
    # torch.add and not in place: an operator may hand back what it was given
    return conjugate_gradients(lambda x: torch.add(adjoint(forward(x)), x, alpha=rho), adjoint(y))
