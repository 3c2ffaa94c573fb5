"""One running solver: its generator, the query that it waits for, and the tiles of the answer that are there already.

Used by the engine's thread alone, except for `future`.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from priors.manifest import PriorInfo
from priors.tiling import Blend, Fold, TileGrid, Window, cut, pad, plan_tiles
from service.engine.errors import NotDifferentiable, OutOfMemory
from service.engine.residency import PriorId
from service.engine.scheduler import Kind
from solvers.query import Query, Solution, Solver, SolverDiverged

QUANTITIES = {Kind.DENOISE: "the denoised image", Kind.VJP: "the vector-Jacobian product"}
"""What a prior answers."""


@dataclass(frozen=True)
class Job:
    """What was submitted."""

    id: str
    start: Callable[[], Solver]
    priors: tuple[PriorId, ...]
    """One for each component that the solver asks."""
    on_query: Callable[[Query], None] | None = None
    deadline: float | None = None
    """On the clock of `time.monotonic`."""
    weight: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """A solution and what it took."""

    solution: Solution
    denoiser_calls: int
    """Queries answered, however many tiles each was cut into."""
    mean_batch: float
    """Tiles in a prior call, averaged over the calls in which this job took part."""
    load_s: float
    """What this job waited for its priors; 0 where they were warm."""
    run_s: float


class Lane:
    """A job from its submission to its outcome."""

    def __init__(self, number: int, job: Job):
        self.number = number
        self.job = job
        self.future: Future[Outcome] = Future()
        self.query: Query | None = None
        self.solution: Solution | None = None
        self.tile_below: int | None = None
        """Only tiles smaller than this fit into memory; set by the engine."""
        self._solver: Solver | None = None
        self._grid: TileGrid | None = None
        self._padded: Tensor | None = None
        self._padded_levels: Tensor | None = None  # where the level differs from pixel to pixel
        self._padded_mean: Tensor | None = None  # where the prior is on latents
        self._window: Window | None = None  # where the query has a cotangent
        self._answer: Blend | Fold | None = None
        self._answered = 0
        self._batches = 0
        self._batch_tiles = 0
        self._load_s = 0.0
        self._began = 0.0

    def begin(self, load_s: float) -> None:
        """Start the solver and receive its first query. Raises what the solver raises."""
        self._load_s = load_s
        self._began = time.monotonic()
        self._solver = self.job.start()
        self._receive(lambda: next(self._solver))

    def advance(self) -> None:
        """Send the whole answer; then the next `query` or the `solution` is there. Raises what the solver raises."""
        answer = self._answer.result()  # (N, C, H, W)
        self._let_go()  # what it was made from, before the solver goes on
        self._answered += 1
        self._receive(lambda: self._solver.send(answer))

    def plan(self, info: PriorInfo, sizes: Sequence[int]) -> TileGrid:
        """Cut the query anew into tiles that fit, of one of `sizes`.

        Raises OutOfMemory where there are none, NotDifferentiable where the query has a cotangent and the prior cannot
        do that, ValueError where the prior needs the mean of the query and has none.
        """
        if self.kind is Kind.VJP and not info.differentiable:
            raise NotDifferentiable(f"the solver differentiates through the prior, and {info.name} cannot do that")
        fitting = usable_tiles(info, sizes, self.tile_below)
        if not fitting:
            raise OutOfMemory(f"not even a tile of {self.tile_below} pixels a side fits into the memory of the device")
        self._grid = plan_tiles(*self.query.x.shape[-2:], fitting, info.multiple_of, info.latent_factor)
        self._padded = pad(self.query.x, self._grid)
        self._padded_levels = pad(self.query.sigma, self._grid) if self.query.sigma.ndim > 1 else None
        if info.kind == "latent":
            if self.query.mean is None:
                raise ValueError(f"the prior {info.name} is on latents, and the solver knows no picture without noise")
            self._padded_mean = pad(self.query.mean(), self._grid)
        rows = len(self.query.x)
        if self.kind is Kind.VJP:
            self._window, self._answer = Window(self._grid), Fold(self._grid, rows)
        else:
            self._answer = Blend(self._grid, rows)
        return self._grid

    @property
    def prior(self) -> PriorId:
        """That which the query asks."""
        return self.job.priors[self.query.component]

    @property
    def kind(self) -> Kind:
        """What the query asks of the prior."""
        return Kind.DENOISE if self.query.cotangent is None else Kind.VJP

    @property
    def tiles(self) -> int:
        """Tiles of the query: rows times origins, row by row."""
        return len(self.query.x) * len(self._grid.origins)

    def tile(self, number: int) -> Tensor:
        """(1, C, t, t), a view: nothing is copied before its batch is filled."""
        return self._cut(self._padded, number)

    def mean(self, number: int) -> Tensor | None:
        """The same of the query without its noise; None where the prior does not ask for it."""
        return None if self._padded_mean is None else self._cut(self._padded_mean, number)

    def cotangent(self, number: int) -> Tensor | None:
        """(1, C, t, t), what the answer to a tile is differentiated with; None where it is not."""
        if self._window is None:
            return None
        row, index = divmod(number, len(self._grid.origins))
        return self._window.cut(self.query.cotangent[row : row + 1], index)

    def sigma(self, number: int) -> Tensor:
        """(1,), the level of a tile, or a map of it, (1, 1, t, t)."""
        if self._padded_levels is not None:
            return self._cut(self._padded_levels, number)
        row = number // len(self._grid.origins)
        return self.query.sigma[row : row + 1]

    def take(self, first: int, answers: Tensor, batch_size: int) -> None:
        """answers: (n, C, t, t), to tiles `first`, `first + 1`, ... from a call over `batch_size` tiles.

        Raises SolverDiverged where a number is not finite.
        """
        if not answers.isfinite().all():
            raise SolverDiverged(self.query.step, QUANTITIES[self.kind])
        for number, tile in enumerate(answers.to(self.query.x).split(1), first):
            self._answer.add(number, tile)
        self._batches += 1
        self._batch_tiles += batch_size

    def outcome(self) -> Outcome:
        return Outcome(
            solution=self.solution,
            denoiser_calls=self._answered,
            mean_batch=self._batch_tiles / max(1, self._batches),
            load_s=self._load_s,
            run_s=time.monotonic() - self._began,
        )

    def resolve(self, end: Outcome | BaseException) -> None:
        """Let go of the solver and settle the future, unless it was cancelled: there is one outcome in any case."""
        self._close()
        if not self.future.set_running_or_notify_cancel():
            return
        if isinstance(end, Outcome):
            self.future.set_result(end)
        else:
            self.future.set_exception(end)

    def _cut(self, padded: Tensor, number: int) -> Tensor:
        row, index = divmod(number, len(self._grid.origins))
        return cut(padded[row : row + 1], self._grid, index)

    def _receive(self, resume: Callable[[], Query]) -> None:
        try:
            self.query = resume()
        except StopIteration as end:
            self.query, self.solution = None, end.value
            self._check_solution(self.solution)
            return
        self._check(self.query)
        if self.job.on_query is not None and not self.future.cancelled():
            self.job.on_query(self.query)

    def _check_solution(self, solution: Solution) -> None:
        parts = {
            "the solution": solution.x,
            "its deviation": solution.deviation,
            "its noise map": solution.noise_map,
            "its samples": solution.samples,
        }
        for quantity, pictures in parts.items():
            if pictures is not None and not all(row.isfinite().all() for row in pictures):  # a copy of a row at a time
                raise SolverDiverged(self._answered, quantity) from None

    def _check(self, query: Query) -> None:
        """Refuse what would come back as a puzzle from somewhere inside the prior."""
        shapes = (query.x.shape[:1], (len(query.x), 1, *query.x.shape[-2:]))
        if query.x.ndim != 4 or query.sigma.shape not in shapes or not len(query.sigma):
            raise ValueError(f"a query of shape {tuple(query.x.shape)} with levels {tuple(query.sigma.shape)}")
        if query.cotangent is not None and query.cotangent.shape != query.x.shape:
            shape = tuple(query.cotangent.shape)
            raise ValueError(f"a query of shape {tuple(query.x.shape)} with a cotangent of shape {shape}")
        if not 0 <= query.component < len(self.job.priors):
            raise ValueError(f"the solver asks for denoiser {query.component}, and the job has {len(self.job.priors)}")

    def _let_go(self) -> None:
        self.query, self._padded, self._padded_levels = None, None, None
        self._padded_mean, self._window, self._answer = None, None, None

    def _close(self) -> None:
        self._let_go()
        if self._solver is None:
            return
        with suppress(Exception):  # it has its outcome already; what its clean-up raises can change nothing
            self._solver.close()


def usable_tiles(info: PriorInfo, sizes: Sequence[int], below: int | None) -> tuple[int, ...]:
    """Those of `sizes` that a prior takes, or the one size it was made for; all smaller than `below`."""
    fitting = tuple(size for size in sizes if size % info.multiple_of == 0) if info.fully_convolutional else ()
    return tuple(size for size in fitting or (info.native_size,) if below is None or size < below)
