"""Small real solvers and priors whose answers are known."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future

import torch
from torch import Tensor

from priors.analytic import GaussianPrior
from priors.manifest import PriorInfo
from priors.network import PatchedUNet, build_unet, unet_config
from priors.parameterisation import EdmPrior
from service.engine.engine import Engine, Outcome
from service.engine.scheduler import Kind
from solvers.query import Query, Solution, Solver

PRIOR = GaussianPrior(variance=0.3, mean=0.1)


def image(height: int, width: int, seed: int = 0, channels: int = 3) -> Tensor:
    """(1, C, H, W)."""
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def fixed_point(y: Tensor, sigma_y: float, sigma: float, steps: int) -> Solver:
    """The mean of the posterior of y = x + sigma_y * noise under a prior blurred by sigma.

    Its score is (D(mu) - mu) / sigma^2, so the mean is where (y - mu) / sigma_y^2 + (D(mu) - mu) / sigma^2 = 0.
    """
    mu = y.clone()
    for step in range(steps):
        denoised = yield Query(mu, mu.new_full((1,), sigma), step, steps, mu)
        mu = (sigma**2 * y + sigma_y**2 * denoised) / (sigma**2 + sigma_y**2)
    return Solution(mu, float((y - mu).square().mean().sqrt()))


def posterior_mean(y: Tensor, sigma_y: float, sigma: float, prior: GaussianPrior = PRIOR) -> Tensor:
    """What `fixed_point` converges to under a Gaussian prior."""
    variance = prior.variance + sigma**2
    return (variance * y + sigma_y**2 * prior.mean) / (variance + sigma_y**2)


def levels(y: Tensor, sigmas: list[float]) -> Solver:
    """One query for each level, without noise; returns the last answer."""
    x = y
    for step, sigma in enumerate(sigmas):
        x = yield Query(x, x.new_full((len(x),), sigma), step, len(sigmas))
    return Solution(x, 0.0)


def random_unet_prior(seed: int = 0) -> EdmPrior:
    """Two levels of 8 and 16 channels; every parameter random."""
    generator = torch.Generator().manual_seed(seed)
    unet = build_unet(unet_config(3, 2, (8, 16), layers=1, groups=4))
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.copy_(parameter + 0.05 * torch.randn(parameter.shape, generator=generator))
    info = PriorInfo(name="unet", multiple_of=4, sigma_min=0.005, sigma_max=80.0)
    return EdmPrior(PatchedUNet(unet, 2).eval(), info, sigma_data=0.5, time_map="250*ln(sigma)")


class SmallMemory:
    """A prior that remembers the shapes it was asked for, and has no memory for more than `pixels` at a time."""

    def __init__(self, pixels: float = float("inf"), error: Callable[[], Exception] = torch.OutOfMemoryError):
        self.info = PRIOR.info
        self.pixels = pixels
        self.error = error
        self.shapes: list[tuple[int, ...]] = []

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        if len(x) * x.shape[-1] * x.shape[-2] > self.pixels:
            raise self.error()
        return PRIOR.denoise(x, sigma)


class Allergic:
    """A prior that cannot stand one level: `react(answer, rows)` says what happens then."""

    LEVEL = 0.4375

    def __init__(self, react: Callable[[Tensor, Tensor], Tensor]):
        self.info = PRIOR.info
        self.react = react

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        rows = sigma == self.LEVEL
        answer = PRIOR.denoise(x, sigma)
        return self.react(answer, rows) if rows.any() else answer


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.kinds: list[Kind] = []
        self.steps: list[str] = []
        self.shortages: list[str] = []
        self.loaded: list[str] = []
        self.evicted: list[str] = []

    def batch(self, prior: str, tiles: int, seconds: float, kind: Kind) -> None:
        assert seconds >= 0
        self.batches.append((prior, tiles))
        self.kinds.append(kind)

    def step(self, job_id: str, prior: str) -> None:
        self.steps.append(job_id)

    def out_of_memory(self, device: str) -> None:
        self.shortages.append(device)

    def prior_loaded(self, prior: str, seconds: float) -> None:
        self.loaded.append(prior)

    def prior_evicted(self, prior: str) -> None:
        self.evicted.append(prior)


class Gate:
    """A job that holds the engine until `open`, so that a test can submit many jobs before the first batch."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def start(self) -> Solver:
        self.entered.set()
        assert self.opened.wait(60)
        return levels(torch.zeros(1, 3, 64, 64), [])

    def open(self) -> None:
        self.opened.set()


WAIT_S = 60
Y = image(64, 64)
LEVELS = [0.5, 0.3, 0.2, 0.1]


def good() -> Solver:
    return levels(Y, LEVELS)


def endless() -> Solver:
    for step in itertools.count():
        yield Query(Y, torch.ones(1), step, 10**9)


def expected() -> Tensor:
    x = Y
    for level in LEVELS:
        x = PRIOR.denoise(x, torch.tensor([level]))
    return x


def assert_good(future: Future[Outcome]) -> None:
    assert (future.result(WAIT_S).solution.x - expected()).abs().max() < 1e-5


def submit_beside(
    engine: Engine, bad: Callable[[], Solver], **options
) -> tuple[Future[Outcome], list[Future[Outcome]]]:
    """A bad job among six good ones, all in from the first batch on."""
    gate = Gate()
    engine.submit("gate", gate.start, "p")
    before = [engine.submit(f"before-{n}", good, "p") for n in range(3)]
    future = engine.submit("bad", bad, "p", **options)
    after = [engine.submit(f"after-{n}", good, "p") for n in range(3)]
    gate.open()
    return future, before + after
