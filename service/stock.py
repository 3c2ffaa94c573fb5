"""Which priors the workers have in memory, and asking for it. No torch."""

from dataclasses import dataclass

from api_schemas.catalogue import PriorOut
from priors.footprint import footprint
from priors.shelf import Shelf
from service.catalogue import Catalogue
from service.problems import Refused
from service.queue.holdings import Holding, Holdings, Order

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Stock:
    """The priors on disk with what the workers tell of them. Blocking; safe to share between threads."""

    catalogue: Catalogue
    shelf: Shelf
    holdings: Holdings

    def priors(self) -> list[PriorOut]:
        """Every usable prior by name."""
        live = self.holdings.live()
        return [with_state(prior, live) for prior in self.catalogue.priors()]

    def prior(self, name: str) -> PriorOut:
        """Raises `prior_not_found`."""
        return with_state(self._find(name), self.holdings.live())

    def load(self, name: str) -> PriorOut:
        """Ask the workers to make a prior warm. Raises `prior_not_found`, `insufficient_memory` and `not_ready`."""
        prior, live = self._find(name), self._workers()
        size, most = footprint(self.shelf.home(name) / name), max(each.prior_memory for each in live)
        if size > most:
            sizes = f"{size / MEBIBYTE:.0f} MiB, and no worker has more than {most / MEBIBYTE:.0f} MiB for priors"
            raise Refused("insufficient_memory", f"the prior {name} takes {sizes}")
        able = [each.executor_id for each in live if size <= each.prior_memory]
        self.holdings.order(able, Order(name, prior.digest, load=True))
        return with_state(prior, live)

    def unload(self, name: str) -> PriorOut:
        """Ask the workers to let go of a prior as soon as no job uses it. Raises as `load`, but for the memory."""
        prior, live = self._find(name), self._workers()
        self.holdings.order([each.executor_id for each in live], Order(name, prior.digest, load=False))
        return with_state(prior, live)

    def _find(self, name: str) -> PriorOut:
        prior = self.catalogue.prior(name)
        if prior is None:
            raise Refused("prior_not_found", f"there is no prior {name!r}")
        return prior

    def _workers(self) -> list[Holding]:
        live = self.holdings.live()
        if not live:
            raise Refused("not_ready", "no worker takes jobs", headers={"Retry-After": "2"})
        return live


def with_state(prior: PriorOut, live: list[Holding]) -> PriorOut:
    """`ready` where a worker has it, `loading` where one is about to, else `cold`."""
    states = {each.priors.get((prior.id, prior.digest), "cold") for each in live}
    best = next((state for state in ("ready", "loading") if state in states), "cold")
    return prior.model_copy(update={"state": best})
