"""`rediffuse restore`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from client._connection import DEFAULT_URL
from client.cli import options, single
from client.cli.single import beside


def restore(
    measurement: Annotated[Path, typer.Argument(help="What was measured: a picture, or an `.npy` array.")],
    operator: Annotated[str, typer.Argument(help="How it was measured: JSON, or a file of it; see `/v1/operators`.")],
    *,
    output: options.Out = None,
    sigma: options.Sigma = None,
    solver: options.Solver = None,
    seed: options.Seed = None,
    prior: options.Prior = None,
    preset: options.PresetName = None,
    steps: options.Steps = None,
    param: options.Param = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Restore a picture from a measurement of any kind. Masks and kernels in the operator may be paths of pictures."""
    target = output or beside(measurement, "restored")
    described = read_operator(operator)
    fields = options.request_options(
        seed=seed,
        prior=prior,
        preset=preset,
        steps=steps,
        param=param,
        sigma=sigma,
        output_format=options.format_of(target),
        solver=solver,
    )
    single.restore(
        lambda client: client.restore(measurement, described, **fields),
        measurement,
        target,
        url=url,
        api_key=api_key,
        force=force,
        as_json=as_json,
    )


def read_operator(text: str) -> dict[str, Any]:
    """A JSON object, from the text itself or from the file that it names."""
    try:
        given = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
        described = json.loads(given)
    except OSError as error:
        raise typer.BadParameter(f"{text}: {error.strerror}", param_hint="OPERATOR") from None
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint="OPERATOR") from None
    if not isinstance(described, dict):
        raise typer.BadParameter("an operator is a JSON object", param_hint="OPERATOR")
    return described
