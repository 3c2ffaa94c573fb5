"""`rediffuse inpaint`."""

from pathlib import Path
from typing import Annotated

import typer

from client._connection import DEFAULT_URL
from client.cli import options
from client.cli.single import beside, restore


def inpaint(
    image: Annotated[Path, typer.Argument(help="The damaged picture.")],
    mask: Annotated[Path | None, typer.Argument(help="White where it is damaged; not with alpha_unknown.")] = None,
    *,
    output: options.Out = None,
    mask_mode: options.MaskModeName = None,
    grow_mask: options.GrowMask = None,
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
    """Fill what a mask marks as lost; every other pixel stays as it is."""
    target = output or beside(image, "restored")
    fields = options.request_options(
        seed=seed,
        prior=prior,
        preset=preset,
        steps=steps,
        param=param,
        sigma=sigma,
        output_format=options.format_of(target),
        mask_mode=mask_mode,
        grow_mask=grow_mask,
    )
    restore(
        lambda client: client.inpaint(image, mask, **fields),
        image,
        target,
        url=url,
        api_key=api_key,
        force=force,
        as_json=as_json,
    )
