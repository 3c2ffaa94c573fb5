"""The classical methods that a restoration has to beat. scikit-image is needed for three of them, bm3d for one."""

import numpy as np
from PIL import Image


def biharmonic(rgb01: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Biharmonic inpainting (Damelin and Hoang 2018)."""
    from skimage.restoration import inpaint_biharmonic

    return inpaint_biharmonic(rgb01, ~observed, channel_axis=-1, split_into_regions=True)


def bicubic(rgb01: np.ndarray, scale: int) -> np.ndarray:
    """Pillow's bicubic up-sampling, a channel at a time in floating point."""
    height, width = rgb01.shape[:2]
    planes = [Image.fromarray(np.ascontiguousarray(rgb01[..., c]), mode="F") for c in range(3)]
    size = (width * scale, height * scale)
    return np.stack([np.asarray(plane.resize(size, Image.Resampling.BICUBIC)) for plane in planes], axis=-1)


def non_local_means(rgb01: np.ndarray, sigma_255: float) -> np.ndarray:
    """Non-local means (Buades et al. 2005) with the noise level known, as scikit-image's example sets it."""
    from skimage.restoration import denoise_nl_means

    sigma = sigma_255 / 255
    return denoise_nl_means(
        rgb01, h=0.6 * sigma, sigma=sigma, fast_mode=True, patch_size=5, patch_distance=6, channel_axis=-1
    )


def block_matching(rgb01: np.ndarray, sigma_255: float) -> np.ndarray:
    """BM3D for colours (Dabov et al. 2007) with the noise level known, by its authors' package."""
    from bm3d import bm3d_rgb

    return bm3d_rgb(rgb01, sigma_255 / 255)


def wiener(rgb01: np.ndarray, kernel: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Wiener deconvolution with a Laplacian prior at the best it can do: of 15 weights the one nearest to the truth."""
    from skimage.restoration import wiener as wiener_filter

    margin = 4 * max(kernel.shape)  # it takes pictures to be periodic
    padded = np.pad(rgb01, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")

    def answer(weight: float) -> np.ndarray:
        planes = [wiener_filter(padded[..., c], kernel, weight, clip=False) for c in range(3)]
        return np.stack(planes, axis=-1)[margin:-margin, margin:-margin].astype(np.float32)

    answers = map(answer, np.logspace(2, -5, 15))
    return min(answers, key=lambda each: float(np.mean((each - truth) ** 2)))
