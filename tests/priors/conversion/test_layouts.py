"""Every layout of a UNet: converted, it computes what the original computes, and its declaration keeps the contract."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from priors.analytic import DenseGaussianPrior
from priors.base import Prior
from priors.conversion import ddpm, openai
from priors.conversion.convert import convert_file
from priors.conversion.layouts import LAYOUTS, find_layout
from priors.declaration import read_declaration
from priors.manifest import PriorError, read_fields, read_manifest
from priors.parameterisation import adapt
from priors.store import load_prior
from tests.priors.conversion.references_adm import ADM, EDM_TEACHERS, PUBLISHED, AdmUNet, Options, randomised
from tests.priors.conversion.references_ddpm import narrow, published

UNETS = [*ADM, "ddpm-celebahq"]
LABEL = 3
"""What class-conditional networks are told here."""


def original(name: str) -> nn.Module:
    """A narrow network of the layout, of random weights."""
    return randomised(narrow() if name == "ddpm-celebahq" else AdmUNet(ADM[name]))


def label_of(name: str) -> int | None:
    return LABEL if name in ADM and ADM[name].classes else None


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`models(name)` is a models folder in which the layout `name` has been converted, under its own name."""
    home = tmp_path_factory.mktemp("conversion")

    def made(name: str) -> Path:
        if not (home / "models" / name).exists():
            torch.save(original(name).state_dict(), home / "file.pt")
            convert_file(
                home / "file.pt", home / "models" / name, licence="MIT", layout=name, class_label=label_of(name)
            )
        return home / "models"

    return made


@pytest.fixture(scope="module")
def converted(models: Callable[[str], Path]) -> Callable[[str], Prior]:
    return lambda name: load_prior(models(name), name, torch.device("cpu"))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_every_unet_has_its_original_here() -> None:
    assert {layout.name for layout in (*openai.LAYOUTS, *ddpm.LAYOUTS)} == set(UNETS)


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (32, 12)], ids=str)
@pytest.mark.parametrize("name", UNETS)
def test_the_network_computes_what_the_original_computes(
    name: str, size: tuple[int, int], converted: Callable[[str], Prior]
) -> None:
    """All its channels, a learned variance too; whole and fractional timesteps, one for each sample."""
    x, time = noise(3, 3, *size), torch.tensor([0.0, 250.25, 999.0])
    label = label_of(name)
    labels = None if label is None else torch.full((3,), label)
    with torch.no_grad():
        expected = original(name)(x, time, label)
        answer = converted(name).network.unet(x, time, labels).sample
    assert answer.shape == expected.shape
    assert (answer - expected).abs().max() < 1e-5  # of answers of 1.5


ABAR_LINEAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
CURVE = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
ABAR_COSINE = np.cumprod(1 - np.minimum(1 - CURVE[1:] / CURVE[:-1], 0.999))


def log_levels(name: str) -> np.ndarray:
    """ln sigma of each timestep, (1000,) float64, as the paper of the network has it."""
    abar = ABAR_COSINE if name == "adm-64-cond" else ABAR_LINEAR
    return np.log((1 - abar) / abar) / 2


def expected_clean(name: str, network: nn.Module, x: Tensor, sigma: Tensor) -> Tensor:
    """The clean image by the definition of what the network predicts. sigma: (N,)."""
    level = sigma.reshape(-1, 1, 1, 1)
    if "edm" in name:
        variance = level**2 + 0.25
        told = network(x / variance.sqrt(), 250 * sigma.log(), label_of(name))
        return 0.25 / variance * x + level * 0.5 / variance.sqrt() * told
    time = torch.from_numpy(np.interp(np.log(sigma.double().numpy()), log_levels(name), np.arange(1000.0))).float()
    eps = network(x / (1 + level**2).sqrt(), time, label_of(name))[:, :3]
    return x - level * eps


@pytest.mark.parametrize("name", UNETS)
def test_the_clean_image_is_that_of_the_original(name: str, converted: Callable[[str], Prior]) -> None:
    """Through the contract of every prior, at one level for each sample; errors grow with the noise that is removed."""
    sigma = torch.tensor([0.0123, 0.7, 31.0])
    scale = sigma.clamp(min=1).reshape(-1, 1, 1, 1)
    x = sigma.reshape(-1, 1, 1, 1) * noise(3, 3, 16, 24)
    prior = converted(name)
    with torch.no_grad():
        answer = prior.denoise(x, sigma)
        expected = expected_clean(name, original(name), x, sigma)
        alone = torch.cat([prior.denoise(x[i : i + 1], sigma[i : i + 1]) for i in range(3)])
    assert ((answer - expected) / scale).abs().max() < 1e-5
    assert ((answer - alone) / scale).abs().max() < 1e-5


class Ideal(nn.Module):
    """An ideally trained network of the layout, by the definition of what it predicts: it knows the exact denoiser."""

    def __init__(self, name: str, denoiser: DenseGaussianPrior):
        super().__init__()
        self.name, self.denoiser = name, denoiser

    def forward(self, state: Tensor, time: Tensor) -> Tensor:
        if "edm" in self.name:
            sigma = (time / 250).exp()
            level = sigma.reshape(-1, 1, 1, 1)
            variance = level**2 + 0.25
            x = state * variance.sqrt()
            return (self.denoiser.denoise(x, sigma) - 0.25 / variance * x) * variance.sqrt() / (level * 0.5)
        sigma = torch.from_numpy(np.exp(np.interp(time.numpy(), np.arange(1000.0), log_levels(self.name))))
        x = state * (1 + sigma.reshape(-1, 1, 1, 1) ** 2).sqrt()
        return (x - self.denoiser.denoise(x, sigma)) / sigma.reshape(-1, 1, 1, 1)


@pytest.fixture(scope="module")
def pictures() -> DenseGaussianPrior:
    """Correlated like photographs, over 4 x 4 pixels and over channels; around a mean that is not grey."""
    places = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in (3, 4, 4)))
    covariance = 0.25 * torch.exp(-torch.cdist(places, places) / 8)
    return DenseGaussianPrior(torch.linspace(-0.5, 0.5, 48, dtype=torch.float64), covariance)


@pytest.fixture(scope="module")
def ideal(models: Callable[[str], Path], pictures: DenseGaussianPrior) -> Callable[[str], Prior]:
    """`ideal(name)` is an ideal network, adapted as the converted layout `name` declares."""

    def adapted(name: str) -> Prior:
        folder = models(name) / name
        declared = read_declaration(read_fields(folder), name)
        return adapt(Ideal(name, pictures), read_manifest(folder), declared)

    return adapted


WITHIN = torch.tensor([0.013, 0.1, 0.5, 1.0, 8.0, 50.0], dtype=torch.float64)


@pytest.mark.parametrize("name", UNETS)
def test_mean_gradient(name: str, ideal: Callable[[str], Prior], pictures: DenseGaussianPrior) -> None:
    """E_e[eps_hat - e] = sigma (C + sigma^2)^-1 (mu - m), exact as the average over e and -e.

    Fails for a declaration of the wrong parameterisation, schedule or time map.
    """
    generator = torch.Generator().manual_seed(4)
    mu = torch.randn(48, generator=generator, dtype=torch.float64)
    e = torch.randn(6, 48, generator=generator, dtype=torch.float64)
    sigma, prior = WITHIN.reshape(-1, 1), ideal(name)
    difference = torch.zeros_like(e)
    for sign in (1, -1):
        z = mu + sigma * sign * e
        x0 = prior.denoise(z.reshape(-1, 3, 4, 4), WITHIN).flatten(1)
        difference += ((z - x0) / sigma - sign * e) / 2
    gain = sigma / (pictures.variances + sigma**2)  # (6, 48)
    expected = (gain * ((mu - pictures.mean) @ pictures.basis)) @ pictures.basis.T
    torch.testing.assert_close(difference, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", UNETS)
def test_slope(name: str, ideal: Callable[[str], Prior], pictures: DenseGaussianPrior) -> None:
    """<eps_hat, e> / <e, e> is in (0.5, 1) and rises with the level, to the share of noise in what is seen."""
    generator = torch.Generator().manual_seed(5)
    normal, e = torch.randn(2, 2000, 48, generator=generator, dtype=torch.float64)
    clean = pictures.mean + (pictures.variances.sqrt() * normal) @ pictures.basis.T
    prior, slopes = ideal(name), []
    for sigma in (0.2, 0.4, 0.8):
        x = (clean + sigma * e).reshape(-1, 3, 4, 4)
        eps_hat = (x - prior.denoise(x, torch.full((2000,), sigma, dtype=torch.float64))).flatten(1) / sigma
        slopes.append(((eps_hat * e).sum() / e.square().sum()).item())
        assert slopes[-1] == pytest.approx((sigma**2 / (pictures.variances + sigma**2)).mean().item(), rel=0.02)
    assert slopes == sorted(slopes)
    assert 0.5 < slopes[0] < slopes[-1] < 1


def on_meta(options: Options) -> nn.Module:
    """A network of full size, without its memory."""
    with torch.device("meta"):
        return AdmUNet(options)


def full_size(name: str) -> tuple[nn.Module, float]:
    """The network of a published checkpoint on the meta device, and its parameters in millions."""
    if name == "ddpm-celebahq":
        with torch.device("meta"):
            return published(), 113.67
    options, millions = PUBLISHED[name]
    return on_meta(options), millions


@pytest.mark.parametrize("name", [*PUBLISHED, "ddpm-celebahq"])
def test_published_checkpoints_are_recognised(name: str) -> None:
    """By their full size; the original that stands here has the published number of parameters."""
    network, millions = full_size(name)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=1e-4)
    assert find_layout(network.state_dict(), None).name == name


@pytest.mark.parametrize("name", [name for name in [*PUBLISHED, *EDM_TEACHERS, "ddpm-celebahq"] if name in LAYOUTS])
def test_published_checkpoints_have_the_names_and_shapes_of_their_config(name: str) -> None:
    network = on_meta(EDM_TEACHERS[name]) if name in EDM_TEACHERS else full_size(name)[0]
    classes = 999 if hasattr(network, "label_emb") else None
    converted = find_layout(network.state_dict(), name).convert(network.state_dict(), classes)
    with torch.device("meta"):
        expected = UNet2DModel(**{key: value for key, value in converted.config.items() if key != "_class_name"})
    shapes = {key: value.shape for key, value in converted.weights.items()}
    assert shapes == {key: value.shape for key, value in expected.state_dict().items()}
    size = {"adm-64-cond": 64, "openai-edm-64": 64}.get(name, 256)
    assert (converted.manifest["trained_size"], converted.config["sample_size"]) == (size, size)
    assert converted.manifest["size_multiple"] == (8 if size == 64 else 32)


@pytest.mark.parametrize("name", EDM_TEACHERS)
def test_what_no_shape_tells_is_asked_for(name: str) -> None:
    """The EDM teachers and the consistency models have the same names and shapes."""
    state = on_meta(EDM_TEACHERS[name]).state_dict()
    with pytest.raises(PriorError, match=f"could be of {name} or openai-consistency.*name the layout"):
        find_layout(state, None)
    assert find_layout(state, name).name == name
    with pytest.raises(PriorError, match="not the mean of the clean image"):
        find_layout(state, "openai-consistency").convert(state, None)


def test_a_name_decides_for_unknown_networks_and_overrules_no_known_one() -> None:
    state = on_meta(ADM["adm-256"]).state_dict()
    with pytest.raises(PriorError, match="are of no known checkpoint; .* name it: adm-256, "):
        find_layout(state, None)
    assert find_layout(state, "adm-ffhq").name == "adm-ffhq"
    with pytest.raises(PriorError, match="there is no layout 'adm', only adm-256, "):
        find_layout(state, "adm")
    teacher = on_meta(EDM_TEACHERS["openai-edm-64"]).state_dict()
    with pytest.raises(PriorError, match="are those of openai-edm-64 or openai-consistency, not of adm-64-cond"):
        find_layout(teacher, "adm-64-cond")
