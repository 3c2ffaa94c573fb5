"""The container files, checked without a container engine: by a linter, and by the Compose specification."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from compose_spec import PyCompose

ROOT = Path(__file__).parent.parent


def interpolate(value: Any) -> Any:
    """Put the name itself where `docker compose` would put its value, for `${NAME:?message}` and `${NAME:-default}`."""
    if isinstance(value, dict):
        return {key: interpolate(item) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item) for item in value]
    return re.sub(r"\$\{(\w+)[^}]*\}", r"\1", value) if isinstance(value, str) else value


def compose() -> dict:
    document = interpolate(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))
    PyCompose.from_yaml(yaml.safe_dump(document))  # raises where the file breaks the Compose specification
    return document


def test_dockerfile_passes_the_linter() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    run = subprocess.run([linter, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout == ""


def test_dockerfile_has_both_targets_and_no_root() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.M)
    finals = {match.group(1): stage for stage in stages if (match := re.match(r"\S+ AS (cpu|cuda)\n", stage))}
    assert set(finals) == {"cpu", "cuda"}
    assert all("\nUSER 10001\n" in stage and "\nHEALTHCHECK " in stage for stage in finals.values())


def test_every_long_running_service_has_a_health_check_and_restarts() -> None:
    services = compose()["services"]
    assert set(services) == {"api", "worker", "postgres"}
    assert all("healthcheck" in service and service["restart"] == "unless-stopped" for service in services.values())


def test_the_worker_reserves_a_gpu_and_may_drain() -> None:
    worker = compose()["services"]["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
    assert worker["environment"]["REDIFFUSE_API"] == "false"
    assert worker["stop_grace_period"] == "40s"  # longer than Settings.drain_s


def test_api_and_worker_share_database_and_blobs() -> None:
    services = compose()["services"]
    api, worker = services["api"], services["worker"]
    assert api["environment"]["REDIFFUSE_DATABASE_URL"] == worker["environment"]["REDIFFUSE_DATABASE_URL"]
    assert api["volumes"] == worker["volumes"] == ["blobs:/var/lib/rediffuse"]


def test_the_api_is_published_on_the_loopback_address_only() -> None:
    assert compose()["services"]["api"]["ports"] == ["127.0.0.1:8000:8000"]


def test_every_environment_name_is_a_setting() -> None:
    from service.settings import Settings

    names = {f"REDIFFUSE_{field.upper()}" for field in Settings.model_fields}
    used = set(
        re.findall(r"REDIFFUSE_\w+", (ROOT / "docker-compose.yml").read_text() + (ROOT / "Dockerfile").read_text())
    )
    assert used <= names, used - names


def test_the_override_for_machines_without_a_gpu_takes_the_reservation_away() -> None:
    class Loader(yaml.SafeLoader):
        """Understands Compose's `!reset`, which replaces what the first file says."""

    Loader.add_constructor("!reset", lambda loader, node: ("reset", loader.construct_sequence(node)))
    override = yaml.load((ROOT / "docker-compose.cpu.yml").read_text(), Loader)  # noqa: S506
    assert override["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"] == ("reset", [])
    assert {service["build"]["target"] for service in override["services"].values()} == {"cpu"}
