"""The split: against closed forms, against diffusers' own calls, and what must be refused."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from priors.adoption import adopt
from priors.analytic import DenseGaussianPrior
from priors.base import Prior, SplitPrior
from priors.declaration import Declaration
from priors.latent import LatentPrior
from priors.manifest import PriorError, PriorInfo
from priors.parameterisation import adapt
from priors.schedules import build_schedule
from priors.store import load_prior
from priors.weights import WEIGHTS
from tests.priors.latents import scheduler, tiny_prompt, tiny_unet, tiny_vae, write_pipeline

CPU = torch.device("cpu")
SCHEDULE = {"kind": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012}
LATENT_INFO = PriorInfo(name="exact", channels=12, sigma_min=0.0293, sigma_max=14.6)
INFO = PriorInfo(name="exact", kind="latent", latent_factor=2, fully_convolutional=False)
LEVELS = torch.tensor([0.02, 0.1, 0.5, 1.0, 4.0, 7.0], dtype=torch.float64)
"""Of pixels, inside the schedule once doubled, none of them a timestep."""


class Unshuffled:
    """An autoencoder without error: an orthogonal change of coordinates, times `scale`."""

    def __init__(self, scale: float):
        self.scale = scale

    def encode(self, x: Tensor) -> Tensor:
        return self.scale * functional.pixel_unshuffle(x, 2)

    def decode(self, z: Tensor) -> Tensor:
        return functional.pixel_shuffle(z / self.scale, 2)


class Ideal(nn.Module):
    """An ideally trained network on latents: from its VP state to (z, sigma), exact clean latents, eps or v of them."""

    def __init__(self, denoiser: DenseGaussianPrior, predicts: str):
        super().__init__()
        self.denoiser = denoiser
        self.predicts = predicts
        self.schedule = build_schedule(SCHEDULE)

    def forward(self, state: Tensor, time: Tensor) -> Tensor:
        level = self.schedule.sigma(time)
        sigma = level.reshape(-1, 1, 1, 1)
        a = 1 / (1 + sigma**2).sqrt()
        z = state / a
        z0 = self.denoiser.denoise(z, level)
        eps = (z - z0) / sigma
        return eps if self.predicts == "eps" else a * eps - a * sigma * z0


@pytest.fixture(scope="module")
def gaussian() -> DenseGaussianPrior:
    """Of 12 latents."""
    generator = torch.Generator().manual_seed(2)
    factor = torch.randn(12, 12, generator=generator, dtype=torch.float64) / 2
    covariance = factor @ factor.T + 0.02 * torch.eye(12, dtype=torch.float64)
    return DenseGaussianPrior(torch.randn(12, generator=generator, dtype=torch.float64) / 2, covariance)


def ideal_prior(gaussian: DenseGaussianPrior, predicts: str, scale: float, sigma_scale: float) -> LatentPrior:
    declared = Declaration(predicts, "index", schedule=SCHEDULE)
    return LatentPrior(Unshuffled(scale), adapt(Ideal(gaussian, predicts), LATENT_INFO, declared), INFO, sigma_scale)


def pictures(count: int, side: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("predicts", ["eps", "v"])
def test_mean_gradient_of_the_denoiser_of_latents(gaussian: DenseGaussianPrior, predicts: str) -> None:
    """E_e[eps_hat - e] = sigma (C + sigma^2)^-1 (mu - m), exact as the average over e and -e."""
    denoiser = ideal_prior(gaussian, predicts, 1.0, 2.0).denoiser
    generator = torch.Generator().manual_seed(4)
    mu = torch.randn(12, generator=generator, dtype=torch.float64)
    e = torch.randn(6, 12, generator=generator, dtype=torch.float64)
    sigma = 2 * LEVELS.reshape(-1, 1)
    difference = torch.zeros_like(e)
    for noise in (e, -e):
        z = mu + sigma * noise
        z0 = denoiser.denoise(z.reshape(-1, 12, 1, 1), 2 * LEVELS).flatten(1)
        difference += ((z - z0) / sigma - noise) / 2
    covariance = gaussian.basis @ torch.diag(gaussian.variances) @ gaussian.basis.T
    identity = torch.eye(12, dtype=torch.float64)
    expected = [s * torch.linalg.solve(covariance + s**2 * identity, mu - gaussian.mean) for s in 2 * LEVELS]
    torch.testing.assert_close(difference, torch.stack(expected), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("predicts", ["eps", "v"])
def test_with_an_exact_autoencoder_the_split_is_the_posterior_mean_of_the_pixels(
    gaussian: DenseGaussianPrior, predicts: str
) -> None:
    """z = 2 x and sigma_z = 2 sigma: D_z is then the exact denoiser of pixels in other coordinates."""
    mean, noise = pictures(6, 2, seed=5), pictures(6, 2, seed=6)
    answer = ideal_prior(gaussian, predicts, 2.0, 2.0).denoise_split(mean, noise, LEVELS)
    x = (mean + LEVELS.reshape(-1, 1, 1, 1) * noise).unfold(2, 2, 2).unfold(3, 2, 2).reshape(6, 12)
    covariance = (gaussian.basis @ torch.diag(gaussian.variances) @ gaussian.basis.T) / 4
    m, identity = gaussian.mean / 2, torch.eye(12, dtype=torch.float64)
    gain = [covariance @ torch.linalg.inv(covariance + s**2 * identity) for s in LEVELS]
    expected = torch.stack([m + g @ (row - m) for g, row in zip(gain, x, strict=True)])
    torch.testing.assert_close(answer.reshape(6, 12), expected, rtol=1e-9, atol=1e-9)


def test_levels_outside_the_schedule_are_answered_by_the_nearest(gaussian: DenseGaussianPrior) -> None:
    prior = ideal_prior(gaussian, "eps", 2.0, 2.0)
    mean, noise = pictures(1, 2, seed=5), pictures(1, 2, seed=6)

    def at(sigma: float) -> Tensor:
        return prior.denoise_split(mean, noise, torch.tensor([sigma], dtype=torch.float64))

    assert torch.equal(at(1e-4), at(0.0293 / 2))
    assert torch.equal(at(80.0), at(7.3))
    assert not torch.equal(at(7.3), at(7.2))


@pytest.fixture(scope="module")
def make_adopted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a tiny prior, made once for each choice of arguments."""

    @cache
    def make(prediction: str = "epsilon", shift: float | None = None) -> Path:
        folder = write_pipeline(
            tmp_path_factory.mktemp("made") / "sd", prediction=prediction, vae={"shift_factor": shift}
        )
        adopt(folder, licence="CreativeML OpenRAIL-M")
        return folder

    return make


@pytest.fixture
def adopted(make_adopted: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of such a folder, to be damaged."""
    return lambda **options: shutil.copytree(make_adopted(**options), tmp_path / "sd")


def load(folder: Path) -> Any:
    return load_prior(folder.parent, folder.name, CPU)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("size", [(16, 16), (8, 24)], ids=["square", "wide"])
def test_the_split_is_what_diffusers_computes_step_by_step(
    adopted: Callable[..., Path], prediction: str, size: tuple[int, int]
) -> None:
    """Encode, add noise, predict, step to the clean latents, decode; a timestep for each of the rows."""
    prior = load(adopted(prediction=prediction))
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, 3, 3, *size, generator=generator)
    own, vae, unet = scheduler(prediction), tiny_vae(), tiny_unet()
    expected, sigmas = [], []
    for t, row, drawn in zip((3, 400, 999), mean.split(1), noise.split(1), strict=True):
        red = drawn[:, 0]
        chosen = torch.stack([red[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)
        with torch.no_grad():
            z = vae.encode(row).latent_dist.mean * vae.config.scaling_factor
            state = own.add_noise(z, chosen, torch.tensor([t]))
            output = unet(state, t, tiny_prompt()).sample
            own.set_timesteps(1000)
            z0 = own.step(output, t, state).pred_original_sample
            expected.append(vae.decode(z0 / vae.config.scaling_factor).sample)
        alpha_bar = own.alphas_cumprod[t]
        sigmas.append(((1 - alpha_bar) / alpha_bar).sqrt() / 2)
    with torch.inference_mode():
        answer = prior.denoise_split(mean, noise, torch.stack(sigmas))
    torch.testing.assert_close(answer, torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_a_shift_of_the_latents_is_taken_off_and_put_back(adopted: Callable[..., Path]) -> None:
    prior, vae = load(adopted(shift=0.3)), tiny_vae(shift_factor=0.3)
    x = pictures(1, 16, seed=0, dtype=torch.float32)
    with torch.no_grad():
        z = (vae.encode(x).latent_dist.mean - 0.3) * 0.7
        torch.testing.assert_close(prior.autoencoder.encode(x), z, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(prior.autoencoder.decode(z), vae.decode(z / 0.7 + 0.3).sample, rtol=1e-4, atol=1e-4)


def test_rows_do_not_influence_each_other(adopted: Callable[..., Path]) -> None:
    prior = load(adopted())
    mean, noise = pictures(3, 16, seed=0, dtype=torch.float32), pictures(3, 16, seed=1, dtype=torch.float32)
    sigma = torch.tensor([0.02, 0.5, 5.0])
    together = prior.denoise_split(mean, noise, sigma)
    alone = [prior.denoise_split(mean[i : i + 1], noise[i : i + 1], sigma[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_what_it_declares(adopted: Callable[..., Path]) -> None:
    folder = adopted(prediction="v_prediction")
    prior = load(folder)
    assert isinstance(prior, Prior) and isinstance(prior, SplitPrior)
    info = prior.info
    assert (info.kind, info.parameterisation, info.fully_convolutional) == ("latent", "v", False)
    assert (info.channels, info.native_size, info.multiple_of, info.latent_factor) == (3, 16, 4, 2)
    assert (info.sigma_min, info.sigma_max) == (pytest.approx(0.0146, rel=2e-3), pytest.approx(7.305, rel=1e-3))
    assert info.digest == hashlib.sha256((folder / "unet" / WEIGHTS).read_bytes()).hexdigest()
    with pytest.raises(PriorError, match="the prior sd is on latents: it needs the picture without its noise"):
        prior.denoise(torch.zeros(1, 3, 16, 16), torch.ones(1))
    answer = prior.denoise_split(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), torch.ones(1))
    assert not answer.requires_grad and answer.dtype == torch.float32


def test_the_prompt_is_heard(adopted: Callable[..., Path], tmp_path: Path) -> None:
    other = write_pipeline(tmp_path / "other", prompt=-tiny_prompt())
    adopt(other, licence="MIT")
    x, sigma = pictures(1, 16, seed=0, dtype=torch.float32), torch.ones(1)
    answers = [load(folder).denoise_split(x, x, sigma) for folder in (adopted(), other)]
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("file", "part"),
    [(f"unet/{WEIGHTS}", r"sd \(unet\)"), (f"vae/{WEIGHTS}", r"sd \(vae\)"), ("prompt.safetensors", "sd")],
)
def test_every_file_has_its_digest(adopted: Callable[..., Path], file: str, part: str) -> None:
    folder = adopted()
    data = bytearray((folder / file).read_bytes())
    data[-1] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(PriorError, match=f"prior {part}: .* has the SHA-256"):
        load(folder)
    (folder / file).unlink()
    with pytest.raises(PriorError, match=f"prior {part}: .* cannot be read"):
        load(folder)


def test_pickles_are_never_read(adopted: Callable[..., Path]) -> None:
    """Neither beside the place of the weights nor in it, whatever the digest says."""
    folder = adopted()
    code = pickle.dumps(print)
    (folder / "vae" / WEIGHTS).rename(folder / "vae" / "diffusion_pytorch_model.bin")
    with pytest.raises(PriorError, match=r"prior sd \(vae\): .*safetensors cannot be read"):
        load(folder)
    (folder / "vae" / WEIGHTS).write_bytes(code)
    edit(folder / "prior.json", vae_sha256=hashlib.sha256(code).hexdigest())
    with pytest.raises(PriorError, match=r"prior sd \(vae\): .* is damaged"):
        load(folder)


def test_weights_that_do_not_fit_are_refused(adopted: Callable[..., Path]) -> None:
    folder = adopted()
    path = folder / "vae" / WEIGHTS
    state = load_file(path)
    save_file({key: value for key, value in state.items() if key != "decoder.conv_out.bias"}, path)
    edit(folder / "prior.json", vae_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(PriorError, match="lacks .'decoder.conv_out.bias'"):
        load(folder)


def test_a_prompt_of_another_width_is_refused(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "sd", prompt=tiny_prompt(width=8))
    with pytest.raises(PriorError, match=r"encoder_hidden_states has the shape \(1, 5, 8\) instead of \(1, 5, 12\)"):
        adopt(folder, licence="MIT")


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("unet/config.json", {"_class_name": "UNet2DModel"}, "unet/config.json describes no UNet2DConditionModel"),
        ("vae/config.json", {"_class_name": "VQModel"}, "vae/config.json describes no AutoencoderKL"),
        ("unet/config.json", {"surprise": 1}, r"unet/config.json has unknown keys \['surprise'\]"),
        ("vae/config.json", {"surprise": 1}, r"vae/config.json has unknown keys \['surprise'\]"),
        ("unet/config.json", {"down_block_types": ["Nothing"] * 2}, "unet/config.json describes no valid network"),
        ("vae/config.json", {"latents_mean": [0.0] * 4}, "scales every channel on its own"),
        ("vae/config.json", {"in_channels": 1}, "is of 1 channels, not of 3"),
        ("vae/config.json", {"latent_channels": 8}, "has 8 latent channels, its UNet takes 4 and gives 4"),
        ("unet/config.json", {"in_channels": 9}, "has 4 latent channels, its UNet takes 9 and gives 4"),
        ("unet/config.json", {"num_class_embeds": 7}, r"told more than a prompt \(num_class_embeds\)"),
        ("unet/config.json", {"time_cond_proj_dim": 8}, r"told more than a prompt \(time_cond_proj_dim\)"),
        ("unet/config.json", {"cross_attention_dim": [12, 12]}, "not one width of prompts"),
        ("prior.json", {"kind": "pixel"}, "unknown or contradict"),
        ("prior.json", {"surprise": 1}, r"unknown or contradict the others: \['surprise'\]"),
        ("prior.json", {"pixel_unshuffle": 2}, r"a latent prior has no \['pixel_unshuffle'\]"),
        ("prior.json", {"parameterisation": "x0"}, "predicts one of eps, v, not x0"),
        ("prior.json", {"latent_factor": 4}, "says latent_factor 4, its autoencoder has 2"),
        ("prior.json", {"size_multiple": 2}, "do not take every multiple of 2 pixels"),
        ("prior.json", {"fully_convolutional": True}, "must say fully_convolutional: false"),
        ("prior.json", {"latent_sigma_scale": 0}, "latent_sigma_scale > 0"),
        ("prior.json", {"latent_sigma_scale": 4}, "its schedule knows 0.0291"),
        ("prior.json", {"latent_sigma_scale": None}, "'latent_sigma_scale'"),
        ("prior.json", {"prompt_tokens": 10**9}, "prompt_tokens from 1 to 1024"),
        ("prior.json", {"prompt_tokens": 6}, r"has the shape \(1, 5, 12\) instead of \(1, 6, 12\)"),
        ("prior.json", {"prompt": 3}, "'prompt'"),
        ("prior.json", {"vae_sha256": 3}, "'vae_sha256'"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(
    adopted: Callable[..., Path], file: str, changes: dict[str, Any], message: str
) -> None:
    folder = adopted()
    edit(folder / file, **changes)
    with pytest.raises(PriorError, match=f"prior sd.*{message}"):
        load(folder)
