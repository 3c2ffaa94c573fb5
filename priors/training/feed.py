"""Batches ahead of their time: the CPU cuts crops while the network is busy."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor


class Feed:
    """Batches by number; those of the next numbers are begun in the background. batch: a function of the number."""

    def __init__(self, batch: Callable[[int], Tensor], readers: int):
        self._batch = batch
        self._readers = readers
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="crops")
        self._begun: dict[int, Future[Tensor]] = {}

    def __getitem__(self, number: int) -> Tensor:
        for ahead in range(number, number + self._readers + 1):
            if ahead not in self._begun:
                self._begun[ahead] = self._pool.submit(self._batch, ahead)
        return self._begun.pop(number).result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
