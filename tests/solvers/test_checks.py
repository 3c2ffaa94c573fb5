"""Numbers that are not finite."""

import pytest
import torch

from solvers.checks import check_finite, root_mean_square
from solvers.query import SolverDiverged


def test_finite_numbers_pass():
    check_finite(torch.full((1, 3, 9, 9), 1e30), 0, "x")
    check_finite(-3.0, 0, "x")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_element_is_found(bad):
    x = torch.zeros(2, 3, 50, 50)
    x[1, 2, 49, 49] = bad
    with pytest.raises(SolverDiverged, match="the estimate is not finite at step 7") as caught:
        check_finite(x, 7, "the estimate")
    assert (caught.value.step, caught.value.quantity) == (7, "the estimate")
    with pytest.raises(SolverDiverged):
        check_finite(bad, 7, "the estimate")


def test_infinities_do_not_cancel():
    x = torch.zeros(4)
    x[0], x[1] = float("inf"), -float("inf")
    with pytest.raises(SolverDiverged):
        check_finite(x, 0, "x")


def test_root_mean_square():
    assert root_mean_square(torch.tensor([3.0, -4.0, 0.0, 0.0])) == pytest.approx(2.5)
