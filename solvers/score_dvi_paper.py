"""ScoreDVI as published: Cheng et al. 2023, "Score Priors Guided Deep Variational Inference for Unsupervised Real-World
Single Image Denoising". For every picture four small networks are trained from scratch by the loss of
`solvers.score_dvi_loss`, while the denoisers, one for each component, tell the score of the prior:

    y              ->  q(x), q(phi), q(z), q(omega)                                    by the networks
    z_m            =   mu + s n_m,  m = 1 .. `draws`                                   for each component
    score          =   (D_k(z_m) - z_m) / s^2                                          never differentiated through
    theta          =   Adam(theta, grad L)                                             `iterations` times
    x              =   sum_k pi_k mu_k;  average <- 0.9 average + 0.1 x                from average = y

The average after the last iteration is the answer. Where s, averaged over pixels and components, ends above 12.75 of
255, the run has failed: it is done once more, with other weights and other noise, and the one with the smaller s is
kept (as published, always the second).

The paper's pictures are on [0, 1], and so is everything in here. Outside, on [-1, 1], levels are twice and beta0 and
variances four times as large: queries, answers and the solution are converted at the border, and the answer is what
[0, 1] would give. Denoisers that are told a level are told s, pixel by pixel.

Pictures of more than 256 pixels a side are solved tile by tile, which bounds the memory, to 1.1 GB on a CPU with five
draws of one component: networks train on a tile as they do on a small picture. It takes `iterations` calls per
component and tile, of `draws` rows each, and for each of them 3 seconds of one core to train on a whole tile, for which
another job of an engine may wait once.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.noise import NoiseStream
from solvers.query import Problem, Query, Solution, Solver
from solvers.score_dvi_loss import Factors, loss, samples, scores
from solvers.score_dvi_networks import WIDTH, networks
from solvers.tiles import Tile, blend, tiles

FAILED = 0.05
"""Mean of s on [0, 1] above which a run has failed."""
RUNS = 2
"""Of a tile at most: one that has failed is repeated, and the surer one is kept."""
KEPT = 0.9
"""Of the average, at every iteration."""
WEIGHTS_DRAW = 1
"""Draw number of the noise stream that the weights of the networks come from; n is draw 0."""


@dataclass(frozen=True)
class PaperSettings:
    """`beta0` on the [-1, 1] scale, four times the paper's."""

    beta0: float
    prior_weight: float
    """lambda."""
    components: int = 1
    iterations: int = 400
    draws: int = 5
    learning_rate: float = 1e-3
    width: int = WIDTH
    """Channels of the U-Net's first level; half as many in the other networks."""
    tile: int = 256
    """Most pixels a side that networks are trained on."""
    overlap: int = 64


@dataclass(frozen=True)
class Fit:
    """What a run has found for a tile, (1, C, h, w) each on [0, 1]."""

    mean: Tensor
    deviation: Tensor
    noise: Tensor
    """1 / sqrt(E phi)."""
    spread: float
    """Mean of s."""


@dataclass
class Course:
    """Where the whole solution is; what all runs of a picture share."""

    y: Tensor
    """(1, C, H, W) on [-1, 1]."""
    estimate: Tensor
    total: int
    """Calls, as if every tile to come had to be trained twice: what is left may become less, never more."""
    step: int = 0
    reruns: int = 0


class Training:
    """Networks, optimiser and running average of one run, for y of (1, C, h, w) on [0, 1].

    Works under `no_grad` and `inference_mode` as well: it turns gradients on for itself.
    """

    def __init__(self, y: Tensor, settings: PaperSettings, drawn: torch.Generator):
        self.settings = settings
        with _gradients():
            self.y = y.clone()
            self.average = y.clone()
            self.networks = networks(y.shape[1], settings.components, self.y, drawn, settings.width)
            self.adam = torch.optim.Adam(self.networks.parameters(), settings.learning_rate)

    def propose(self, drawn: Tensor) -> Tensor:
        """z for n of (M, K, C, h, w), the same shape."""
        with _gradients():
            self.factors: Factors = self.networks(self.y)
            self.drawn = drawn.clone()
            self.at = samples(self.factors, self.drawn).detach()
        return self.at

    def learn(self, denoised: Tensor) -> None:
        """One step of Adam with D(z) of (M, K, C, h, w)."""
        settings = self.settings
        with _gradients():
            score = scores(self.factors, self.at, denoised.clone())
            value = loss(self.factors, self.y[0], self.drawn, score, settings.beta0 / 4, settings.prior_weight)
            self.adam.zero_grad()
            value.backward()
            self.adam.step()
            self.average = self.average.lerp(self.factors.moments()[0].detach()[None], 1 - KEPT)

    def fit(self) -> Fit:
        """Of the last iteration, but for the average."""
        deviation, noise = self.factors.moments()[1].detach(), self.factors.precision().rsqrt().detach()
        return Fit(self.average, deviation[None], noise[None], self.level().mean().item())

    def level(self) -> Tensor:
        """s, (K, C, h, w)."""
        return self.factors.variance.sqrt().detach()


def score_dvi_paper(problem: Problem, settings: PaperSettings, noise: NoiseStream) -> Solver:
    """One query of `draws` rows for each component and iteration, of a tile at a time.

    Metrics of the solution: `iterations`, of all tiles and runs, and `reruns`. Deviation and noise map are those of the
    last iteration. Raises SolverDiverged.
    """
    y = problem.measurement
    check_finite(y, 0, "the measurement")
    parts = tiles(*y.shape[-2:], settings.tile, settings.overlap)
    calls = settings.iterations * settings.components
    course = Course(y, y.clone(), RUNS * len(parts) * calls)
    fits: list[tuple[Tile, Fit]] = []
    for tile in parts:
        fit = yield from _run(tile, settings, noise, course)
        if fit.spread <= FAILED:
            course.total -= calls
        else:
            course.reruns += 1
            again = yield from _run(tile, settings, noise, course)
            fit = min(fit, again, key=lambda found: found.spread)
        fits.append((tile, fit))
    x, deviation, level = (
        blend([(tile, getattr(fit, name)) for tile, fit in fits], y) for name in ("mean", "deviation", "noise")
    )
    x = 2 * x - 1
    metrics = {"iterations": float(course.step // settings.components), "reruns": float(course.reruns)}
    return Solution(x, root_mean_square(y - x), metrics, 2 * deviation, noise_map=2 * level)


def _run(tile: Tile, settings: PaperSettings, noise: NoiseStream, course: Course) -> Generator[Query, Tensor, Fit]:
    """Train networks for one tile from the beginning."""
    y = (tile.of(course.y) + 1) / 2
    training = Training(y, settings, noise.generator(course.step, WEIGHTS_DRAW))
    for _ in range(settings.iterations):
        rows = y.expand(settings.draws, -1, -1, -1)
        drawn = torch.stack([noise.normal(course.step + k, rows) for k in range(settings.components)], 1)
        at = training.propose(drawn)
        denoised = []
        for component in range(settings.components):
            answer = yield _query(training, at[:, component], component, course)
            check_finite(answer, course.step, "the denoised image")
            denoised.append((answer + 1) / 2)
            course.step += 1
        training.learn(torch.stack(denoised, 1))
        check_finite(training.average, course.step - 1, "the estimate")
        course.estimate = course.estimate.clone()  # the last one has been given away
        tile.of(course.estimate).copy_(2 * training.average - 1)
    return training.fit()


def _query(training: Training, at: Tensor, component: int, course: Course) -> Query:
    mean = training.factors.mean[component].detach()
    sigma = training.level()[component].square().mean(0).sqrt()  # one level for all channels of a pixel
    residual = root_mean_square(course.y - course.estimate)
    return Query(
        2 * at - 1,
        2 * sigma.expand(len(at), 1, -1, -1),
        course.step,
        course.total,
        course.estimate,
        residual,
        lambda: (2 * mean - 1).expand_as(at),
        component,
    )


@contextmanager
def _gradients() -> Iterator[None]:
    """Whoever drives a solver has them off, and may be in `inference_mode`, whose tensors autograd does not take."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
