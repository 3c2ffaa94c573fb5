"""The symmetries of a square grid, to average a denoiser over.

A prior of natural images is as good on a mirrored picture, but a network makes other errors there. Denoising under
changing symmetries averages these errors away (Terris et al. 2024, "Equivariant plug-and-play image reconstruction").
"""

from torch import Tensor

SYMMETRIES = {"none": (0,), "mirror": (0, 1), "dihedral": (0, 3, 5, 6, 1, 2, 4, 7)}
"""Elements by name, in the order of their use: bit 0 mirrors left and right, bit 1 top and bottom, bit 2 transposes."""


def apply(x: Tensor, element: int) -> Tensor:
    """(N, C, H, W) mirrored and turned; H and W change places where it is transposed. Copies where it mirrors."""
    x = _mirror(x, element)
    return x.transpose(-1, -2) if element & 4 else x


def undo(x: Tensor, element: int) -> Tensor:
    x = x.transpose(-1, -2) if element & 4 else x
    return _mirror(x, element)


def _mirror(x: Tensor, element: int) -> Tensor:
    axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if element & bit]
    return x.flip(axes) if axes else x  # torch copies even where there is nothing to flip
