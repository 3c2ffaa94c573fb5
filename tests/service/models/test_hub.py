"""Downloads by the real client of the hub, from a small hub on this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler

from priors.manifest import PriorError, read_fields
from priors.store import load_prior
from priors.weights import WEIGHTS
from service.models.arrival import arriving
from service.models.hub import Reference, fetch, parse_reference
from tests.priors.latents import write_pipeline
from tests.priors.unets import random_unet_of
from tests.service.models.fake_hub import REPOSITORY, REVISION, FakeHub, running_hub

REFERENCE = Reference(REPOSITORY, REVISION)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small DDPM pipeline, with others beside them that nobody should take."""
    folder = tmp_path_factory.mktemp("hub")
    DDPMPipeline(random_unet_of({"sample_size": 16}), DDPMScheduler()).save_pretrained(folder)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "pipeline.py").write_text("raise SystemExit")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def hub(pipeline: dict[str, bytes]) -> Iterator[FakeHub]:
    with running_hub() as hub:
        hub.files = dict(pipeline)
        yield hub


def fetched(hub: FakeHub, models: Path, reference: Reference = REFERENCE, **options: Any) -> Path:
    with arriving(models, "faces") as folder:
        fetch(reference, folder, **{"licence": None, "endpoint": hub.url} | options)
    return models / "faces"


def refusal(hub: FakeHub, models: Path, **options: Any) -> str:
    with pytest.raises(PriorError) as caught:
        fetched(hub, models, **options)
    assert list(models.iterdir()) == []  # nothing is left, whenever it went wrong
    return str(caught.value)


def test_a_pipeline_becomes_a_prior(hub: FakeHub, tmp_path: Path) -> None:
    folder = fetched(hub, tmp_path, symmetries="mirror")
    prior = load_prior(tmp_path, "faces", torch.device("cpu"))
    assert prior.denoise(torch.zeros(1, 3, 16, 16), torch.ones(1)).isfinite().all()
    fields = read_fields(folder)
    assert fields["licence"] == "apache-2.0, as its page on the hub says"
    assert fields["source"] == f"{hub.url}/{REPOSITORY}@{REVISION}"
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_configurations_and_safetensors_are_all_that_is_downloaded(hub: FakeHub, tmp_path: Path) -> None:
    folder = fetched(hub, tmp_path)
    wanted = {"model_index.json", "scheduler/scheduler_config.json", "unet/config.json", f"unet/{WEIGHTS}"}
    assert set(hub.asked) == wanted
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == wanted | {"prior.json"}


def test_the_licence_is_the_hubs_or_the_users_but_never_none(hub: FakeHub, tmp_path: Path) -> None:
    hub.licence = None
    assert "states no licence: say it with --licence" in refusal(hub, tmp_path)
    assert read_fields(fetched(hub, tmp_path, licence="research only: FFHQ"))["licence"] == "research only: FFHQ"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({f"unet/{WEIGHTS}": None}, "only in unet/diffusion_pytorch_model.bin, a pickle, which can run code"),
        ({f"unet/{WEIGHTS}": None, "unet/diffusion_pytorch_model.bin": None}, f"there is no unet/{WEIGHTS} in it"),
        ({"unet/config.json": b" " * 10_000_001}, "unet/config.json has 10000001 bytes, which is no configuration"),
        ({"unet/config.json": b'{"_class_name": "MyNet", "auto_map": "net.py"}'}, "none of the supported networks"),
        ({"scheduler/scheduler_config.json": None}, "no scheduler_config.json"),
        ({"model_index.json": b'{"unet": ["pipeline", "MyNet"], "scheduler": ["d", "s"]}'}, "is no UNet2DModel"),
    ],
    ids=["pickle", "empty", "large", "foreign", "schedulerless", "custom"],
)
def test_what_cannot_be_taken_is_refused(
    hub: FakeHub, tmp_path: Path, files: dict[str, bytes | None], reason: str
) -> None:
    hub.files = {name: data for name, data in (hub.files | files).items() if data is not None}
    assert reason in refusal(hub, tmp_path)


def test_weights_that_the_hub_describes_differently_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    hub.stated[f"unet/{WEIGHTS}"] = "ab" * 32
    assert "the hub says abababababab.." in refusal(hub, tmp_path)


def test_refusals_of_the_hub_are_told_in_words(hub: FakeHub, tmp_path: Path) -> None:
    absent = refusal(hub, tmp_path, reference=Reference("someone/else", REVISION))
    assert "has no model someone/else, or not for you" in absent
    assert f"{REPOSITORY} has no revision" in refusal(hub, tmp_path, reference=Reference(REPOSITORY, "f" * 40))
    assert "is not the name of a repository" in refusal(hub, tmp_path, reference=Reference("../etc", REVISION))
    hub.gated = True
    assert f"is gated: accept its terms at {hub.url}/{REPOSITORY}" in refusal(hub, tmp_path)
    hub.status = 418
    assert "the hub answered 418" in refusal(hub, tmp_path)


def test_a_hub_that_is_away_is_told(hub: FakeHub, tmp_path: Path) -> None:
    hub.url = "http://127.0.0.1:9"
    assert "the hub at http://127.0.0.1:9 cannot be reached" in refusal(hub, tmp_path)


def test_a_latent_pipeline_becomes_a_prior(hub: FakeHub, tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "pipeline")
    hub.files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert read_fields(fetched(hub, tmp_path / "models"))["kind"] == "latent"


def test_what_a_prompt_needs_is_said_before_the_weights_are_downloaded(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files["vae/config.json"] = b"{}"
    monkeypatch.setattr("service.models.hub.find_spec", lambda name: None)
    assert "needs `pip install transformers`" in refusal(hub, tmp_path)
    assert hub.asked == []


@pytest.mark.parametrize("text", ["a/b", "a/b@main", "a/b@v1.0", f"a/b@{'A' * 40}", f"a/b@{'a' * 39}", "@", ""])
def test_only_a_commit_will_do(text: str) -> None:
    with pytest.raises(PriorError, match="add @ and the 40 hexadecimal digits of a commit"):
        parse_reference(text)


@pytest.mark.parametrize(("repository", "name"), [(REPOSITORY, "tiny_faces"), ("a/-x!y.", "x-y"), ("solo", "solo")])
def test_a_name_is_made_of_the_repositorys(repository: str, name: str) -> None:
    assert parse_reference(f"{repository}@{REVISION}").default_name == name
