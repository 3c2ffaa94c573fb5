"""What lies beyond the edge of a picture, along one axis.

`reflect` is the mirror image with the edge repeated (-1 -> 0, n -> n - 1), as often as it takes; `circular` the
opposite side; `zero` is 0, mid-grey on the [-1, 1] scale.
"""

import torch
from torch import Tensor
from torch.nn import functional

BOUNDARIES = ("reflect", "zero", "circular")


def extend(x: Tensor, axis: int, margin: int, boundary: str) -> Tensor:
    """`x` with `margin` samples more on either side of an axis, which for `zero` is counted from the last: -1, -2."""
    if margin == 0:
        return x
    if boundary == "zero":
        return functional.pad(x, _padding(axis, margin))
    return x.index_select(axis, shown(x.shape[axis], margin, boundary).to(x.device))


def fold(extended: Tensor, axis: int, margin: int, boundary: str) -> Tensor:
    """Transpose of `extend`: what lies in the margins is added to the samples that they show. Changes `extended`."""
    n = extended.shape[axis] - 2 * margin
    x = extended.narrow(axis, margin, n)
    if boundary != "zero" and margin:
        index = shown(n, margin, boundary).to(x.device)
        x.index_add_(axis, index[:margin], extended.narrow(axis, 0, margin).clone())
        x.index_add_(axis, index[-margin:], extended.narrow(axis, margin + n, margin).clone())
    return x.contiguous()


def shown(n: int, margin: int, boundary: str) -> Tensor:
    """Which of n samples each of the n + 2 margin positions shows; for borders that show any."""
    position = torch.arange(-margin, n + margin)
    if boundary == "circular":
        return position % n
    position %= 2 * n
    return torch.where(position < n, position, 2 * n - 1 - position)


def _padding(axis: int, margin: int) -> list[int]:
    """As `functional.pad` wants it: from the last axis backwards."""
    return [0, 0] * (-axis - 1) + [margin, margin]
