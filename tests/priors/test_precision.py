"""What networks compute in, and how little it changes."""

from pathlib import Path

import pytest
import torch

from priors import precision
from priors.precision import network_dtype
from priors.store import load_prior

BUNDLED = Path(__file__).parents[2] / "priors" / "bundled"
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_what_is_asked_for_is_taken(name: str, device: str) -> None:
    assert network_dtype(name, torch.device(device)) == getattr(torch, name)


@pytest.mark.parametrize(
    ("instructions", "gain", "expected"),
    [
        (True, 1.1 * precision.GAIN, torch.bfloat16),
        (True, 0.9 * precision.GAIN, torch.float32),
        (True, 0.6, torch.float32),  # instructions that cost more than they save
        (False, 10.0, torch.float32),
    ],
)
def test_a_cpu_gets_bfloat16_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, instructions: bool, gain: float, expected: torch.dtype
) -> None:
    seconds = {torch.float32: 1.0, torch.bfloat16: 1 / gain}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": instructions})
    monkeypatch.setattr(precision, "_seconds", seconds.__getitem__)
    precision._cpu_is_faster.cache_clear()
    try:
        assert network_dtype("auto", CPU) == expected
    finally:
        precision._cpu_is_faster.cache_clear()


def test_a_trial_takes_time_in_either() -> None:
    assert precision._seconds(torch.float32) > 0
    assert precision._seconds(torch.bfloat16) > 0


@pytest.mark.parametrize("name", ["natural-v1", "denoiser-v4"])
@pytest.mark.parametrize("sigma", [0.02, 0.3])
def test_bfloat16_answers_nearly_the_same_in_float32(name: str, sigma: float) -> None:
    """Off by less than a twentieth of the noise, and by no shade that stands out."""
    waves = torch.sin(torch.arange(64) / 9)
    clean = (0.5 * torch.outer(waves, waves)).expand(2, 3, 64, 64)
    x = clean + sigma * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    full, half = (load_prior(BUNDLED, name, CPU, dtype) for dtype in (torch.float32, torch.bfloat16))
    with torch.inference_mode():
        expected, found = (prior.denoise(x, torch.full((2,), sigma)) for prior in (full, half))
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert float((found - expected).square().mean().sqrt()) < 0.05 * sigma
    assert float((found - expected).mean().abs()) < 0.01 * sigma


@pytest.mark.skipif(network_dtype("auto", CPU) != torch.bfloat16, reason="this CPU is not asked to")
@pytest.mark.parametrize("name", ["natural-v1", "denoiser-v4"])
def test_a_row_is_the_same_in_any_company(name: str) -> None:
    """Where sums of a batch are split among threads by its size, rounding would show it: by up to 1.4 of 255 here."""
    prior, threads = load_prior(BUNDLED, name, CPU, torch.bfloat16), torch.get_num_threads()
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sigma = torch.tensor([0.05, 0.2, 0.4, 0.6])
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            alone = torch.cat([prior.denoise(x[i : i + 1], sigma[i : i + 1]) for i in range(4)])
            together = prior.denoise(x, sigma)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
