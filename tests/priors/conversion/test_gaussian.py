"""Released Gaussian denoisers: converted, they compute what their authors' descriptions say."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from priors.base import Prior
from priors.conversion.convert import convert_file
from priors.conversion.gaussian import LAYOUTS
from priors.conversion.layouts import find_layout
from priors.manifest import PriorError
from priors.store import load_prior

State = dict[str, Tensor]
DEPTH, WIDTH = 5, 8
LAYOUT = {layout.name: layout for layout in LAYOUTS}
SIGMA_MAX = {"bf-dncnn": 200 / 255, "dncnn": 110 / 255, "ffdnet": 150 / 255}
"""Of the released colour networks, on the [-1, 1] scale."""


def numbers(*shape: int, seed: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + 0.01


def weights(name: str) -> State:
    """What a released file of the layout holds, narrow and of random numbers, none of them zero."""
    inputs, outputs = {"ffdnet": (13, 12)}.get(name, (3, 3))
    channels = [inputs, *[WIDTH] * (DEPTH - 1), outputs]
    state = {}
    for i in range(DEPTH):
        key = f"conv_layers.{i}" if name == "bf-dncnn" else f"model.{2 * i}"
        state[f"{key}.weight"] = numbers(channels[i + 1], channels[i], 3, 3, seed=i)
        if name != "bf-dncnn":
            state[f"{key}.bias"] = numbers(channels[i + 1], seed=100 + i)
    for i in range(DEPTH - 2 if name == "bf-dncnn" else 0):
        state[f"running_sd.{i}"] = numbers(1, WIDTH, 1, 1, seed=200 + i).abs() + 0.3
        state[f"gammas.{i}"] = numbers(1, WIDTH, 1, 1, seed=300 + i)
    return state


def bias_free(state: State, y: Tensor, _sigma: float) -> Tensor:
    """y: one picture on [0, 1]. The network answers the noise."""
    noise = y
    for layer in range(DEPTH):
        noise = conv2d(noise, state[f"conv_layers.{layer}.weight"], padding=1)
        if 0 < layer < DEPTH - 1:
            noise = noise / state[f"running_sd.{layer - 1}"] * state[f"gammas.{layer - 1}"]
        if layer < DEPTH - 1:
            noise = noise.clamp(min=0)
    return y - noise


def stack(state: State, hidden: Tensor) -> Tensor:
    for layer in range(DEPTH):
        hidden = conv2d(hidden, state[f"model.{2 * layer}.weight"], state[f"model.{2 * layer}.bias"], padding=1)
        if layer < DEPTH - 1:
            hidden = hidden.clamp(min=0)
    return hidden


def with_bias(state: State, y: Tensor, _sigma: float) -> Tensor:
    return y - stack(state, y)


def told_the_level(state: State, y: Tensor, sigma: float) -> Tensor:
    """The channel c*4 + dy*2 + dx holds the pixels (2i + dy, 2j + dx) of colour c; the answer is the picture."""
    height, width = y.shape[-2:]
    rows = [*range(height), height - 1][: height + height % 2]
    columns = [*range(width), width - 1][: width + width % 2]
    y = y[..., rows, :][..., columns]
    places = [(c, dy, dx) for c in range(3) for dy in (0, 1) for dx in (0, 1)]
    parts = torch.stack([y[:, c, dy::2, dx::2] for c, dy, dx in places], dim=1)
    answer = stack(state, torch.cat([parts, torch.full_like(parts[:, :1], sigma)], dim=1))
    clean = torch.empty_like(y)
    for channel, (c, dy, dx) in enumerate(places):
        clean[:, c, dy::2, dx::2] = answer[:, channel]
    return clean[..., :height, :width]


REFERENCE: dict[str, Callable[[State, Tensor, float], Tensor]] = {
    "bf-dncnn": bias_free,
    "dncnn": with_bias,
    "ffdnet": told_the_level,
}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prior]:
    """`converted(name)` is the prior made of `weights(name)`, whose layout is left to be found."""
    home = tmp_path_factory.mktemp("conversion")

    def made(name: str) -> Prior:
        if not (home / "models" / name).exists():
            torch.save(weights(name), home / "file.pth")
            convert_file(home / "file.pth", home / "models" / name, licence="MIT", symmetries="dihedral")
        return load_prior(home / "models", name, torch.device("cpu"))

    return made


@pytest.mark.parametrize("size", [(16, 16), (10, 22), (9, 13), (12, 7)], ids=str)
@pytest.mark.parametrize("name", REFERENCE)
def test_computes_what_the_original_computes(
    name: str, size: tuple[int, int], converted: Callable[[str], Prior]
) -> None:
    """A batch of levels against one picture after the other, on [0, 1] where the level is half of ours."""
    x = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    sigma = torch.tensor([0.02, 0.15, 0.4])
    answer = converted(name).denoise(x, sigma)
    for i in range(3):
        expected = 2 * REFERENCE[name](weights(name), (x[i : i + 1] + 1) / 2, sigma[i].item() / 2) - 1
        torch.testing.assert_close(answer[i : i + 1], expected, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("name", REFERENCE)
def test_declares_the_levels_of_its_training(name: str, converted: Callable[[str], Prior]) -> None:
    info = converted(name).info
    assert info.sigma_max == pytest.approx(SIGMA_MAX[name], abs=1e-6)
    assert info.sigma_min == pytest.approx(2 / 255, abs=1e-6)
    assert (info.multiple_of, info.fully_convolutional, info.symmetries) == (1, True, "dihedral")


@pytest.mark.parametrize("name", REFERENCE)
def test_is_recognised_by_its_shapes_alone(name: str) -> None:
    assert find_layout(weights(name), None).name == name
    assert [layout.name for layout in LAYOUTS if layout.recognises(weights(name))] == [name]


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop(next(iter(state))),
        lambda state: state.popitem(),
        lambda state: state.update(extra=torch.ones(1)),
        lambda state: state.update({next(iter(state)): torch.ones(WIDTH, 1, 3, 3)}),
        lambda state: state.update({next(iter(state)): torch.ones(10**6, 0, 3, 3)}),
        lambda state: state.clear(),
    ],
    ids=["no first", "no last", "unexpected", "grey", "wide", "nothing"],
)
def test_other_weights_are_refused(name: str, change: Callable[[State], object]) -> None:
    state = weights(name)
    change(state)
    assert not LAYOUT[name].recognises(state)
    with pytest.raises(PriorError, match="weights are no .* for RGB pictures"):
        LAYOUT[name].convert(state, None)


def test_a_class_and_deviations_that_are_none_are_refused() -> None:
    with pytest.raises(PriorError, match="a FFDNet has no classes, the class given is 3"):
        LAYOUT["ffdnet"].convert(weights("ffdnet"), 3)
    state = weights("bf-dncnn")
    state["running_sd.1"][0, 2] = 0
    with pytest.raises(PriorError, match="running_sd.1 holds values that are no standard deviations"):
        LAYOUT["bf-dncnn"].convert(state, None)


RELEASED = Path(__file__).parents[4] / "shared" / "data" / "weights"
"""Weights that are too large for this repository; the tests that want them are skipped without."""
FILES = {
    "scoredvi_bf_dncnn/model0.pt": "bf-dncnn",
    "gaussian_denoisers/dncnn_color_blind.pth": "dncnn",
    "gaussian_denoisers/ffdnet_color.pth": "ffdnet",
}


@pytest.mark.skipif(not RELEASED.is_dir(), reason=f"no weights at {RELEASED}")
@pytest.mark.parametrize("file", FILES)
def test_released_weights_denoise_at_and_beyond_their_levels(
    file: str, tmp_path: Path, dead_leaves: Callable[[int, int], Tensor]
) -> None:
    """The slope <eps_hat, e> / <e, e> rises towards 1; a wrong scale, sign or level breaks it at once.

    Beyond them too there is a picture left: at 1.0 an answer that is not stretched gains 2 dB less.
    """
    convert_file(RELEASED / file, tmp_path / "released", licence="MIT", layout=FILES[file])
    prior = load_prior(tmp_path, "released", torch.device("cpu"))
    clean = torch.cat([dead_leaves(64, seed) for seed in range(2)])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    slopes = []
    for sigma, gain_db in {0.2: 4, 0.4: 8, 1.0: 13, 4.0: 20, 80.0: 44}.items():
        noisy = clean + sigma * noise
        with torch.no_grad():
            x0 = prior.denoise(noisy, torch.full((2,), sigma))
        gain = (noisy - clean).square().mean() / (x0 - clean).square().mean()
        assert 10 * gain.log10() > gain_db
        slopes.append((((noisy - x0) / sigma * noise).sum() / noise.square().sum()).item())
    assert slopes == sorted(slopes)
    assert 0.5 < slopes[0] < slopes[-1] < 1.0
