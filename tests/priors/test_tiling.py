"""Geometry of tiles: coverage, cost, padding, blending."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from priors.base import Prior
from priors.tiling import Blend, Fold, TileGrid, Window, cut, pad, plan_tiles

SIZES = (64, 128, 256)
SHAPES = [(1, 1), (16, 16), (16, 17), (64, 64), (65, 64), (17, 300), (256, 256), (481, 321), (1000, 37)]


def picture(height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(height * 10_007 + width)
    return torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64).to(dtype)


def through_tiles(x: Tensor, grid: TileGrid, denoise: Callable[[Tensor], Tensor]) -> Tensor:
    padded, blend = pad(x, grid), Blend(grid)
    for index in range(len(grid.origins)):
        blend.add(index, denoise(cut(padded, grid, index)))
    return blend.result()


@pytest.mark.parametrize("shape", SHAPES)
def test_identity_gives_the_image_back(shape: tuple[int, int]) -> None:
    x = picture(*shape)
    grid = plan_tiles(*shape, SIZES, multiple_of=8)
    torch.testing.assert_close(through_tiles(x, grid, lambda tile: tile), x, rtol=0, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([8, 16, 24]))
def test_partition_of_unity_at_any_size(height: int, width: int, tile: int) -> None:
    grid = plan_tiles(height, width, (tile,), multiple_of=8)
    ones = torch.ones(1, 1, height, width, dtype=torch.float64)
    torch.testing.assert_close(through_tiles(ones, grid, lambda t: t), ones, rtol=0, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_tiles_stay_inside_and_overlap_by_a_quarter(height: int, width: int) -> None:
    grid = plan_tiles(height, width, SIZES, multiple_of=8)
    for starts, length in ((grid.tops, grid.padded_height), (grid.lefts, grid.padded_width)):
        assert starts[0] == 0 and starts[-1] + grid.tile == length
        steps = [b - a for a, b in zip(starts, starts[1:], strict=False)]
        assert all(0 < step <= grid.tile - grid.tile // 4 for step in steps)
    assert len(grid.origins) == len(grid.tops) * len(grid.lefts)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([(16, 8), (48, 8), (64, 4), (8, 8)]))
def test_tiles_of_latents_begin_at_whole_latents(height: int, width: int, sizes: tuple[int, int]) -> None:
    tile, align = sizes
    grid = plan_tiles(height, width, (tile,), multiple_of=align, align=align)
    assert all(start % align == 0 for start in grid.tops + grid.lefts)
    for starts, length in ((grid.tops, grid.padded_height), (grid.lefts, grid.padded_width)):
        assert starts[-1] + tile == length
        steps = [b - a for a, b in zip(starts, starts[1:], strict=False)]
        assert all(0 < step <= max(align, tile - tile // 4) for step in steps)
    ones = torch.ones(1, 1, height, width, dtype=torch.float64)
    torch.testing.assert_close(through_tiles(ones, grid, lambda t: t), ones, rtol=0, atol=1e-12)


def test_chooses_the_cheapest_size() -> None:
    assert plan_tiles(64, 64, SIZES, 8).tile == 64
    assert plan_tiles(16, 17, SIZES, 8).tile == 64
    assert plan_tiles(128, 120, SIZES, 8).tile == 128  # one tile of 128 costs less than nine of 64
    assert plan_tiles(250, 256, SIZES, 8).tile == 256
    assert plan_tiles(70, 300, SIZES, 8).pixels == min(plan_tiles(70, 300, (s,), 8).pixels for s in SIZES)


def test_an_image_that_fits_one_tile_is_exactly_what_the_network_says() -> None:
    for height, width in [(64, 64), (50, 61), (16, 17)]:
        x = picture(height, width)
        grid = plan_tiles(height, width, (64,), multiple_of=8)
        assert grid.origins == ((0, 0),)
        expected = torch.tanh(pad(x, grid))[..., :height, :width]
        assert torch.equal(through_tiles(x, grid, torch.tanh), expected)


def test_reflection_equals_torch_where_torch_can_and_goes_on_beyond() -> None:
    x = picture(40, 50)
    grid = TileGrid(40, 50, tile=64, overlap=16)
    expected = torch.nn.functional.pad(x, (0, 14, 0, 24), mode="reflect")
    assert torch.equal(pad(x, grid), expected)
    row = torch.tensor([0.0, 1.0, 2.0]).reshape(1, 1, 1, 3)
    padded = pad(row, TileGrid(1, 3, tile=8, overlap=2))
    assert padded[0, 0].tolist() == [[0, 1, 2, 1, 0, 1, 2, 1]] * 8


def test_a_pointwise_denoiser_does_not_notice_the_tiles() -> None:
    x = picture(200, 333, torch.float64)
    grid = plan_tiles(200, 333, (64,), multiple_of=8)
    torch.testing.assert_close(through_tiles(x, grid, torch.sin), torch.sin(x), rtol=0, atol=1e-12)


def test_tiles_may_come_in_any_order() -> None:
    x = picture(150, 150, torch.float64)
    grid = plan_tiles(150, 150, (64,), multiple_of=8)
    forwards, backwards, padded = Blend(grid), Blend(grid), pad(x, grid)
    for index in range(len(grid.origins)):
        forwards.add(index, cut(padded, grid, index).cos())
    for index in reversed(range(len(grid.origins))):
        backwards.add(index, cut(padded, grid, index).cos())
    torch.testing.assert_close(forwards.result(), backwards.result(), rtol=0, atol=1e-14)


def test_a_denoiser_that_differs_from_tile_to_tile_leaves_no_step() -> None:
    """Tiles that disagree by a constant of up to 1 are joined by ramps of the width of the overlap."""
    grid = plan_tiles(160, 160, (64,), multiple_of=8)
    levels = torch.rand(len(grid.origins), generator=torch.Generator().manual_seed(3))
    blend = Blend(grid)
    for index, level in enumerate(levels):
        blend.add(index, level.expand(1, 1, 64, 64))
    result = blend.result()
    steps = torch.cat([result.diff(dim=-1).flatten(), result.diff(dim=-2).flatten()])
    spread = float(levels.max() - levels.min())
    assert spread > 0.5 and float(result.max() - result.min()) > 0.5 * spread
    # a hard border would step by about `spread`; the steepest raised cosine over 16 pixels steps by about pi/2/16
    assert float(steps.abs().max()) < spread * 2 / grid.overlap
    bends = result.diff(n=2, dim=-1).abs()
    assert float(bends.max()) < spread * 8 / grid.overlap**2


def bend_at_borders(picture: Tensor, grid: TileGrid) -> float:
    """Mean absolute second difference across the borders of tiles, relative to elsewhere. picture: (1, C, H, W)."""
    borders, others = [], []
    for starts, axis in ((grid.tops, -2), (grid.lefts, -1)):
        bends = picture.diff(n=2, dim=axis).abs().transpose(axis, -1).mean(dim=(0, 1, 2))  # item i is centred on i + 1
        edges = {edge for start in starts for edge in (start, start + grid.tile)}
        at_border = torch.tensor([i + 1 in edges or i + 2 in edges for i in range(len(bends))])
        borders.append(bends[at_border])
        others.append(bends[~at_border])
    return (torch.cat(borders).mean() / torch.cat(others).mean()).item()


def test_no_seam_with_a_real_network(bundled: list[Prior], dead_leaves: Callable[[int, int], Tensor]) -> None:
    """Against the figure of the full frame, since the picture has bends of its own. Unblended tiles show a seam."""
    clean = dead_leaves(208, 0)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    grid = plan_tiles(208, 208, (64,), multiple_of=8)
    for prior in bundled:
        for sigma in (0.2, 1.0):
            noisy, level = clean + sigma * noise, torch.full((1,), sigma)
            with torch.no_grad():
                full = prior.denoise(noisy, level)
                tiles = [prior.denoise(cut(noisy, grid, index), level) for index in range(len(grid.origins))]
            blend, unblended = Blend(grid), full.clone()
            for index, ((top, left), tile) in enumerate(zip(grid.origins, tiles, strict=True)):
                blend.add(index, tile)
                unblended[..., top : top + 64, left : left + 64] = tile
            tiled = blend.result()
            assert bend_at_borders(tiled, grid) < 1.05 * bend_at_borders(full, grid)
            assert (tiled - clean).square().mean() < 1.05 * (full - clean).square().mean()
            assert bend_at_borders(unblended, grid) > 1.05 * bend_at_borders(full, grid)


# The transposed Jacobian


def mixing(tile: Tensor) -> Tensor:
    """Linear, not symmetric, and across pixels and channels: a convolution with random weights."""
    weights = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return functional.conv2d(tile, weights, padding=1)


def bending(tile: Tensor) -> Tensor:
    """Not linear: its Jacobian depends on the pixels around."""
    return mixing(tile).tanh() * (1 + tile**2)


DENOISERS = {"linear": mixing, "bent": bending}


def pulled_back(x: Tensor, v: Tensor, grid: TileGrid, denoise: Callable[[Tensor], Tensor]) -> Tensor:
    """J^T v tile by tile."""
    padded, window, fold = pad(x, grid), Window(grid), Fold(grid)
    for index in range(len(grid.origins)):
        tile = cut(padded, grid, index).clone().requires_grad_()
        fold.add(index, torch.autograd.grad(denoise(tile), tile, window.cut(v, index))[0])
    return fold.result()


@pytest.mark.parametrize("denoise", DENOISERS.values(), ids=DENOISERS)
@pytest.mark.parametrize("shape", [(16, 16), (11, 16), (23, 40), (41, 17), (5, 37), (1, 1), (2, 30), (33, 1)], ids=str)
def test_the_product_of_tiles_is_that_of_the_tiled_denoiser(
    shape: tuple[int, int], denoise: Callable[[Tensor], Tensor]
) -> None:
    """Against automatic differentiation through cutting and blending, and against differences."""
    grid, x = plan_tiles(*shape, (16,), multiple_of=8), picture(*shape, torch.float64)
    u, v = torch.randn(2, *x.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    ours = pulled_back(x, v, grid, denoise)
    x.requires_grad_()
    whole = torch.autograd.grad(through_tiles(x, grid, denoise), x, v)[0]
    torch.testing.assert_close(ours, whole, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        ahead, behind = (through_tiles(x + step * u, grid, denoise) for step in (1e-5, -1e-5))
        forward = (ahead - behind) / 2e-5
    assert float((forward * v).sum()) == pytest.approx(float((u * ours).sum()), rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([8, 16, 24]))
def test_a_linear_denoiser_and_its_product_are_adjoint_at_any_size(height: int, width: int, tile: int) -> None:
    grid, u = plan_tiles(height, width, (tile,), multiple_of=8), picture(height, width, torch.float64)
    v = u.flip(-1).sin()
    assert float((through_tiles(u, grid, mixing) * v).sum()) == pytest.approx(
        float((u * pulled_back(torch.zeros_like(u), v, grid, mixing)).sum()), rel=1e-10, abs=1e-10
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(16, 8), (48, 8), (64, 4)]))
def test_folding_is_the_adjoint_of_padding(height: int, width: int, sizes: tuple[int, int]) -> None:
    """Also where the frame is larger than the tiles need, as that of latents."""
    tile, align = sizes
    grid, x = plan_tiles(height, width, (tile,), multiple_of=align, align=align), picture(height, width, torch.float64)
    padded, fold = pad(x, grid), Fold(grid)
    frame = padded.cos() + torch.arange(padded.shape[-1])
    reached = torch.zeros_like(frame)
    for index in range(len(grid.origins)):
        rest = torch.where(cut(reached, grid, index) == 0, cut(frame, grid, index), 0)  # each pixel from one tile
        fold.add(index, rest)
        cut(reached, grid, index).fill_(1)
    assert float((padded * frame).sum()) == pytest.approx(float((x * fold.result()).sum()), rel=1e-11, abs=1e-11)


def test_pictures_that_are_cut_alike_share_a_buffer() -> None:
    """Numbers run through the tiles of one picture, then through those of the next."""
    pictures = [picture(40, 23, torch.float64)[row : row + 1] for row in range(2)]
    grid = plan_tiles(40, 23, (16,), multiple_of=8)
    blend, fold = Blend(grid, rows=2), Fold(grid, rows=2)
    for row, each in enumerate(pictures):
        for index in range(len(grid.origins)):
            number = row * len(grid.origins) + index
            blend.add(number, cut(pad(each, grid), grid, index))
            fold.add(number, Window(grid).cut(each, index))
    torch.testing.assert_close(blend.result(), torch.cat(pictures), rtol=0, atol=1e-14)
    alone = [pulled_back(each, each, grid, lambda tile: 1 * tile) for each in pictures]
    torch.testing.assert_close(fold.result(), torch.cat(alone), rtol=0, atol=1e-14)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        plan_tiles(64, 64, (60,), multiple_of=8)
    with pytest.raises(ValueError, match="multiples of 8"):
        plan_tiles(64, 64, (), multiple_of=8)
    with pytest.raises(ValueError, match="0 x 64"):
        plan_tiles(0, 64, SIZES, multiple_of=8)
    grid = plan_tiles(100, 64, (64,), multiple_of=8)
    with pytest.raises(ValueError, match="100 x 64"):
        pad(picture(64, 64), grid)
    blend = Blend(grid)
    with pytest.raises(ValueError, match="2 tiles"):
        blend.result()
    blend.add(0, torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="tile 0 came twice"):
        blend.add(0, torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="instead of 64 a side"):
        blend.add(1, torch.zeros(1, 3, 32, 64))
    with pytest.raises(ValueError, match="1 tiles"):
        blend.result()
