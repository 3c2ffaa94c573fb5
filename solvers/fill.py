"""A smooth guess for the holes of a picture: the start of inpainting."""

import torch
from torch import Tensor
from torch.nn import functional


def pull_push(x: Tensor, observed: Tensor) -> Tensor:
    """Fill holes from the known pixels around them, coarse to fine (Gortler et al. 1996, "The Lumigraph").

    x: (N, C, H, W), ignored in the holes. observed: (1, 1, H, W), 1 where known, else 0; fractions count as partly
    known. Known pixels come back as they are. With no known pixel at all the answer is 0.
    """
    if min(x.shape[-2:]) == 1 and max(x.shape[-2:]) == 1:
        return x * (observed > 0)
    # pull: halve the grid; a coarse pixel is the mean of its known children and is known as much as they are
    known = functional.avg_pool2d(observed, 2, ceil_mode=True)
    coarse = functional.avg_pool2d(x * observed, 2, ceil_mode=True) / known.clamp(min=torch.finfo(x.dtype).tiny)
    # push: what is still unknown comes from the filled coarse grid
    coarse = pull_push(coarse, (2 * known).clamp(max=1))
    smooth = functional.interpolate(coarse, size=x.shape[-2:], mode="bilinear", align_corners=False)
    return torch.lerp(smooth, x, observed)
