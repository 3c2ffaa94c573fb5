"""`rediffuse upscale`."""

from pathlib import Path
from typing import Annotated

import typer

from client._connection import DEFAULT_URL
from client.cli import options
from client.cli.single import beside, restore


def upscale(
    image: Annotated[Path, typer.Argument(help="The small picture.")],
    *,
    output: options.Out = None,
    scale: options.Scale = 2,
    sigma: options.Sigma = None,
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
    """Make a picture larger."""
    target = output or beside(image, f"x{scale}")
    fields = options.request_options(
        seed=seed,
        prior=prior,
        preset=preset,
        steps=steps,
        param=param,
        sigma=sigma,
        output_format=options.format_of(target),
    )
    restore(
        lambda client: client.super_resolution(image, scale, **fields),
        image,
        target,
        url=url,
        api_key=api_key,
        force=force,
        as_json=as_json,
    )
