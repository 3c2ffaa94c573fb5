"""One solver against one denoiser."""

import pytest
import torch

from solvers.drive import drive
from solvers.query import Query, Solution


def counting(asked: list[Query]):
    """Adds up what it is sent, three times."""
    total = torch.zeros(1, 1, 2, 2)
    for step in range(3):
        query = Query(total + step, torch.tensor([0.5]), step, 3)
        asked.append(query)
        total = total + (yield query)
    return Solution(total, 0.25)


def test_every_query_is_answered_in_turn_and_the_solution_comes_back():
    asked: list[Query] = []
    solution = drive(counting(asked), lambda x, sigma: x + sigma.reshape(-1, 1, 1, 1))
    # 0 -> 0.5; (0.5 + 1) + 0.5 -> 2.5; (2.5 + 2) + 0.5 -> 7.5
    assert torch.equal(solution.x, torch.full((1, 1, 2, 2), 7.5))
    assert [query.step for query in asked] == [0, 1, 2]


def test_no_graph_is_recorded():
    weight = torch.ones((), requires_grad=True)
    assert not drive(counting([]), lambda x, sigma: weight * x + 1).x.requires_grad


def test_what_the_denoiser_raises_goes_through():
    def failing(x, sigma):
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        drive(counting([]), failing)
