import pytest

from service.imaging import ImageLimits


@pytest.fixture
def limits() -> ImageLimits:
    return ImageLimits(max_bytes=2**20, max_pixels=1_000_000, min_side=16)
