"""`rediffuse denoise`."""

from pathlib import Path
from typing import Annotated

import typer

from client._connection import DEFAULT_URL
from client.cli import options
from client.cli.batch import restore_folder
from client.cli.single import beside, restore
from client.folders import FolderOrder


def denoise(
    image: Annotated[Path, typer.Argument(help="The noisy picture, or a folder of them.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, whose suffix chooses the format; or folder for the results.",
            show_default="beside what is denoised, named after it",
        ),
    ] = None,
    sigma: options.Sigma = "auto",
    seed: options.Seed = None,
    prior: options.Prior = None,
    solver: options.Denoiser = None,
    preset: options.PresetName = None,
    steps: options.Steps = None,
    param: options.Param = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Remove noise from a picture, or from every picture of a folder (as `rediffuse batch denoise` does)."""
    is_folder = image.is_dir()
    target = output or beside(image, "denoised", suffix="" if is_folder else ".png")
    fields = options.request_options(
        seed=seed,
        prior=prior,
        preset=preset,
        steps=steps,
        param=param,
        sigma=sigma,
        output_format="png" if is_folder else options.format_of(target),
        solver=solver,
    )
    if is_folder:
        order = FolderOrder("denoise", image, target, fields, force=force)
        restore_folder(order, url=url, api_key=api_key, as_json=as_json)
        return
    restore(
        lambda client: client.denoise(image, **fields),
        image,
        target,
        url=url,
        api_key=api_key,
        force=force,
        as_json=as_json,
    )
