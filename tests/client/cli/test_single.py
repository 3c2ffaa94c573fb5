"""`rediffuse inpaint`, `upscale`, `denoise`, `deblur`, `restore`, and what they say when something is wrong."""

import json
from pathlib import Path

import pytest

from tests.client.fake_service import FakeService


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(b"photo")
    return path


def test_inpaint_saves_the_result_and_tells_the_seed(run, service: FakeService, photo: Path, tmp_path: Path):
    (tmp_path / "mask.png").write_bytes(b"mask")
    result = run("inpaint", photo, tmp_path / "mask.png", "-o", tmp_path / "new" / "out.tif", "--grow-mask", 2)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "new" / "out.tif").read_bytes() == b"restored photo"
    assert "seed 7" in result.stdout
    assert json.loads(service.jobs["job-1"].options["output"]) == {"format": "tiff"}
    assert service.jobs["job-1"].options["grow_mask"] == "2"


def test_upscale_sends_what_was_asked_for(run, service: FakeService, photo: Path, tmp_path: Path):
    arguments = ["--scale", 4, "--seed", 5, "--preset", "quality", "--prior", "mine", "--sigma", "25/255"]
    more = ["--steps", 12, "--param", "mode=paper", "--param", "prior_weight=0.5"]
    assert run("upscale", photo, "-o", tmp_path / "out.png", *arguments, *more).exit_code == 0
    sent = service.jobs["job-1"].options
    assert (sent["scale"], sent["seed"], sent["preset"], sent["prior"]) == ("4", "5", "quality", "mine")
    assert json.loads(sent["noise"]) == {"sigma": 25 / 255}
    assert json.loads(sent["params"]) == {"mode": "paper", "prior_weight": 0.5, "steps": 12}


def test_denoise_estimates_the_noise_where_it_is_not_told(run, service: FakeService, photo: Path, tmp_path: Path):
    assert run("denoise", photo, "-o", tmp_path / "out.png").exit_code == 0
    assert service.jobs["job-1"].options["noise"] == "auto"


def test_denoise_says_where_no_noise_was_found(run, service: FakeService, photo: Path, tmp_path: Path):
    assert "no noise" not in run("denoise", photo, "-o", tmp_path / "out.png").stdout
    photo.write_bytes(b"clean photo")
    assert "no noise found" in run("denoise", photo, "-o", tmp_path / "clean.png").stdout
    assert run("denoise", photo, "-o", tmp_path / "white.png", "--solver", "red_diff", "--steps", 4).exit_code == 0
    sent = service.jobs["job-3"].options
    assert (sent["solver"], json.loads(sent["params"])) == ("red_diff", {"steps": 4})


def test_deblur_takes_measures_or_a_picture(run, service: FakeService, photo: Path, tmp_path: Path):
    result = run("deblur", photo, "motion:length=9,angle=30", "-o", tmp_path / "a.png", "--solver", "diffpir")
    assert result.exit_code == 0, result.output
    sent = service.jobs["job-1"].options
    assert (sent["kernel"], sent["solver"]) == ({"kind": "motion", "length": 9, "angle": 30}, "diffpir")
    assert run("deblur", photo, photo, "-o", tmp_path / "b.png", "--boundary", "circular").exit_code == 0
    sent = service.jobs["job-2"].options
    assert (sent["kernel"]["kind"], sent["boundary"]) == ("image", "circular")
    assert (tmp_path / "b.png").read_bytes() == b"restored photo"
    wrong = run("deblur", photo, "gaussian:wide", "-o", tmp_path / "c.png")
    assert wrong.exit_code == 2
    assert "NAME=NUMBER" in wrong.stderr


def test_restore_takes_an_operator_as_text_or_file(run, service: FakeService, photo: Path, tmp_path: Path):
    operator = {"kind": "compose", "operators": [{"kind": "mask", "mask": str(photo)}, {"kind": "clip"}]}
    (tmp_path / "operator.json").write_text(json.dumps(operator))
    for number, given in enumerate([json.dumps(operator), tmp_path / "operator.json"], 1):
        result = run("restore", photo, given, "-o", tmp_path / f"{number}.png", "--sigma", "0.1")
        assert result.exit_code == 0, result.output
        mask, clip = service.jobs[f"job-{number}"].options["operator"]["operators"]
        assert (mask["mask"]["data_url"].partition(":")[0], clip) == ("data", {"kind": "clip"})
    for wrong in ("none.json", "{", "[]"):
        assert run("restore", photo, wrong, "-o", tmp_path / "x.png").exit_code == 2


def test_restore_takes_and_gives_arrays(run, service: FakeService, photo: Path, tmp_path: Path):
    measurement = photo.rename(photo.with_suffix(".npy"))
    result = run("restore", measurement, '{"kind": "phase"}', "-o", tmp_path / "out.npy", "--sigma", "0.01")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.npy").read_bytes() == b"restored photo"
    assert service.jobs["job-1"].options["output"] == {"format": "npy"}


@pytest.mark.parametrize(
    ("verb", "name"),
    [("denoise", "photo-denoised.png"), ("upscale", "photo-x2.png"), ("inpaint", "photo-restored.png")],
)
def test_a_result_without_a_name_is_a_png_beside_its_picture(run, photo: Path, verb: str, name: str):
    jpeg = photo.rename(photo.with_suffix(".jpg"))
    masks = [jpeg] if verb == "inpaint" else []
    result = run(verb, jpeg, *masks)
    assert result.exit_code == 0, result.output
    assert str(jpeg.with_name(name)) in result.stdout
    assert jpeg.with_name(name).read_bytes() == b"restored photo"


def test_a_folder_without_a_name_for_its_results(run, photo: Path):
    folder = photo.parent / "v1.0"
    folder.mkdir()
    photo.rename(folder / "photo.png")
    assert run("denoise", folder).exit_code == 0
    assert (photo.parent / "v1.0-denoised" / "photo.png").read_bytes() == b"restored photo"


def test_a_folder_where_a_picture_is_wanted(run, service: FakeService, tmp_path: Path):
    result = run("upscale", tmp_path)
    assert result.exit_code == 1
    assert "rediffuse batch" in result.stderr
    assert not service.jobs


def test_denoise_takes_a_folder(run, photo: Path, tmp_path: Path):
    result = run("denoise", photo.parent, "-o", tmp_path / "out")
    assert (result.exit_code, "1 cleaned, 0 found clean, 0 failed" in result.stdout) == (0, True)
    assert (tmp_path / "out" / "photo.png").read_bytes() == b"restored photo"
    assert (tmp_path / "out" / "manifest.json").exists()


def test_json_is_all_that_programs_read(run, photo: Path, tmp_path: Path):
    result = run("denoise", photo, "-o", tmp_path / "out.png", "--json")
    assert json.loads(result.stdout)["status"] == "succeeded"


def test_an_existing_file_is_kept_unless_forced(run, service: FakeService, photo: Path, tmp_path: Path):
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")
    result = run("denoise", photo, "-o", target)
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert (target.read_bytes(), len(service.jobs)) == (b"precious", 0)
    assert run("denoise", photo, "-o", target, "--force").exit_code == 0
    assert target.read_bytes() == b"restored photo"


def test_a_refusal_names_the_field(run, photo: Path, tmp_path: Path):
    result = run("denoise", photo, "-o", tmp_path / "out.png", "--seed", -1)
    assert result.exit_code == 1
    assert "A field is wrong: /seed: must be at least 0" in result.stderr
    assert result.stderr.count("must be at least 0") == 1
    assert "Traceback" not in result.output


def test_a_refusal_for_programs(run, photo: Path, tmp_path: Path):
    result = run("denoise", photo, "-o", tmp_path / "out.png", "--seed", -1, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "validation_failed"


def test_a_failed_job_is_told(run, photo: Path, tmp_path: Path):
    photo.write_bytes(b"diverge")
    result = run("denoise", photo, "-o", tmp_path / "out.png")
    assert result.exit_code == 1
    assert "job job-1 failed" in result.stderr
    assert "step 3" in result.stderr


def test_no_service_says_how_to_start_one(run, photo: Path, tmp_path: Path):
    with FakeService() as gone:
        url = gone.url
    result = run("denoise", photo, "-o", tmp_path / "out.png", url=url)
    assert result.exit_code == 1
    assert url in result.stderr
    assert "make serve" in result.stderr


def test_a_missing_key_says_how_to_give_one(run, service: FakeService, photo: Path, tmp_path: Path):
    service.api_key = "secret"
    result = run("denoise", photo, "-o", tmp_path / "out.png")
    assert result.exit_code == 1
    assert "REDIFFUSE_API_KEY" in result.stderr
    assert run("denoise", photo, "-o", tmp_path / "out.png", "--api-key", "secret").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [["-o", "out.xyz"], ["--sigma", "much"], ["--sigma", "25"], ["--param", "steps"]],
)
def test_wrong_usage_is_status_two(run, service: FakeService, photo: Path, arguments: list[str]):
    assert run("denoise", photo, *arguments).exit_code == 2
    assert not service.jobs


def test_a_missing_picture_is_named(run, tmp_path: Path):
    result = run("denoise", tmp_path / "missing.png", "-o", tmp_path / "out.png")
    assert result.exit_code == 1
    assert f"{tmp_path / 'missing.png'}: No such file" in result.stderr
