"""A picture blurred by any kernel, of which every f-th pixel is kept along both axes."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from solvers.operators.blur import Blur
from solvers.operators.conjugate_gradients import conjugate_gradients
from solvers.operators.lanczos import largest_eigenvalue


@dataclass(frozen=True, eq=False)
class Strided:
    """R: the pixel (f - 1) // 2 of each block of f, along both axes. Acts on (N, C, H, W)."""

    size: tuple[int, int]
    """(H, W), multiples of the factor."""
    factor: int
    kernel: Tensor
    """(h, w) as of `Blur`; centred on the blocks if its sides and the factor are both even or both odd."""

    def forward(self, x: Tensor) -> Tensor:
        return self._kept(self._blur.forward(x)).contiguous()

    def adjoint(self, y: Tensor) -> Tensor:
        x = y.new_zeros(*y.shape[:2], *self.size)
        self._kept(x).copy_(y)
        return self._blur.adjoint(x)

    @cached_property
    def gram_norm(self) -> float:
        """Largest eigenvalue of R R^T, to the precision of `lanczos`."""
        small = (1, self.size[0] // self.factor, self.size[1] // self.factor)
        return largest_eigenvalue(self._gram, small)

    def solve_gram(self, y: Tensor, rho: float) -> Tensor:
        """(R R^T + rho)^-1 y by conjugate gradients."""
        planes = y.flatten(0, 1)[:, None]  # each a system of its own
        return conjugate_gradients(lambda u: self._gram(u).add_(u, alpha=rho), planes).reshape(y.shape)

    def _gram(self, y: Tensor) -> Tensor:
        return self.forward(self.adjoint(y))

    def _kept(self, x: Tensor) -> Tensor:
        """A view of the pixels that are kept."""
        first = (self.factor - 1) // 2
        return x[..., first :: self.factor, first :: self.factor]

    @cached_property
    def _blur(self) -> Blur:
        return Blur((1, *self.size), self.kernel, "reflect")
