"""Batches that are cut ahead are those that were asked for."""

import threading

import pytest
import torch
from torch import Tensor

from priors.training.feed import Feed


def test_batches_come_by_number_and_the_next_ones_are_begun() -> None:
    begun, two_more = [], threading.Event()

    def batch(number: int) -> Tensor:
        begun.append(number)
        if number == 6:
            two_more.set()
        return torch.tensor(number)

    feed = Feed(batch, readers=2)
    assert feed[4] == 4
    assert two_more.wait(30)  # nobody has asked for 6
    assert [int(feed[number]) for number in (5, 6, 7)] == [5, 6, 7]
    feed.close()
    assert sorted(begun) == sorted(set(begun))  # none is cut twice


def test_what_goes_wrong_in_a_reader_is_raised_where_the_batch_is_asked_for() -> None:
    def batch(number: int) -> Tensor:
        return torch.tensor(1 // number)

    feed = Feed(batch, readers=1)
    assert feed[1] == 1
    with pytest.raises(ZeroDivisionError):
        feed[0]
    feed.close()
