from pathlib import Path

import pytest
import torch

from service.engine.memory import host_memory, prior_memory

CPU = torch.device("cpu")


def test_what_is_given_is_meant() -> None:
    assert prior_memory(CPU, 3, workers=8) == 3 * 2**20


def test_otherwise_the_workers_share_a_part_of_the_memory() -> None:
    assert 0 < prior_memory(CPU, 0, workers=1) < host_memory()
    assert prior_memory(CPU, 0, workers=1) == pytest.approx(4 * prior_memory(CPU, 0, workers=4))
    assert prior_memory(CPU, 0, workers=0) == prior_memory(CPU, 0, workers=1)


@pytest.mark.parametrize(("text", "limited"), [("4096\n", True), ("max\n", False), (None, False)])
def test_the_limit_of_a_container_counts(tmp_path: Path, text: str | None, limited: bool) -> None:
    path = tmp_path / "memory.max"
    if text is not None:
        path.write_text(text)
    assert (host_memory((path,)) == 4096) is limited


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_says_what_it_has() -> None:
    total = torch.cuda.mem_get_info()[1]
    assert 0.5 * total < prior_memory(torch.device("cuda"), 0, workers=1) < total
