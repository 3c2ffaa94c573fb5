"""Chains: order, points of the slopes, shapes."""

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.chain import Chain
from solvers.operators.clip import Clip
from solvers.operators.downsample import Downsample
from solvers.operators.gamma import Gamma
from solvers.operators.identity import Identity
from solvers.operators.jpeg import Jpeg


def image(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1.6 - 0.8


def test_the_first_acts_first():
    curve, cut, x = Gamma((3, 4, 5), 2.0), Clip((3, 4, 5), 2.0), image(2, 3, 4, 5)
    assert torch.equal(Chain((curve, cut)).forward(x), cut.forward(curve.forward(x)))
    assert not torch.allclose(Chain((curve, cut)).forward(x), Chain((cut, curve)).forward(x))


def test_slopes_are_taken_where_the_parts_before_lead():
    shrink, curve, x = Downsample((3, 8, 10), 2), Gamma((3, 4, 5), 2.0), image(2, 3, 8, 10)
    r = image(2, 3, 4, 5)
    expected = shrink.adjoint((shrink.forward(x) + 1) * r)  # d/dx of 2 ((x + 1) / 2)^2 - 1 is x + 1
    assert torch.allclose(Chain((shrink, curve)).pull_back(x, r), expected, atol=1e-14)


def test_start_undoes_the_last_part_first():
    shrink, curve, y = Downsample((3, 8, 10), 2), Gamma((3, 4, 5), 2.0), image(2, 3, 4, 5)
    assert torch.equal(Chain((shrink, curve)).start(y), shrink.pseudoinverse(curve.start(y)))


def test_chains_of_chains():
    inner = Chain((Downsample((3, 16, 12), 2), Gamma((3, 8, 6), 0.5)))
    outer, x = Chain((inner, Jpeg((3, 8, 6), 80))), image(1, 3, 16, 12)
    flat = Chain((*inner.operators, Jpeg((3, 8, 6), 80)))
    assert torch.equal(outer.forward(x), flat.forward(x))
    assert torch.equal(outer.prox(flat.forward(x), x / 2, 0.1), flat.prox(flat.forward(x), x / 2, 0.1))
    assert (outer.input_shape, outer.output_shape) == ((3, 16, 12), (3, 8, 6))


def test_what_is_no_chain():
    for linear in ((), (Identity((3, 4, 5)),)):
        with pytest.raises(OperatorError, match="not linear"):
            Chain(linear)
    with pytest.raises(OperatorError, match=r"\(3, 5, 4\)"):
        Chain((Identity((3, 4, 5)), Clip((3, 5, 4))))
