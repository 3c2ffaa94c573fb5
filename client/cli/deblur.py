"""`rediffuse deblur`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from client._connection import DEFAULT_URL
from client.cli import options
from client.cli.single import beside, restore


def deblur(
    image: Annotated[Path, typer.Argument(help="The blurred picture.")],
    kernel: Annotated[
        str, typer.Argument(help="Picture of the kernel, or KIND:NAME=VALUE,... such as gaussian:width=2.")
    ],
    *,
    output: options.Out = None,
    boundary: Annotated[str | None, typer.Option(help="`reflect`, `zero` or `circular`.")] = None,
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
    """Sharpen a picture whose blur is known."""
    target = output or beside(image, "deblurred")
    fields = options.request_options(
        seed=seed,
        prior=prior,
        preset=preset,
        steps=steps,
        param=param,
        sigma=sigma,
        output_format=options.format_of(target),
        solver=solver,
        boundary=boundary,
    )
    restore(
        lambda client: client.deblur(image, read_kernel(kernel), **fields),
        image,
        target,
        url=url,
        api_key=api_key,
        force=force,
        as_json=as_json,
    )


def read_kernel(text: str) -> Any:
    """`gaussian:width=2` or `motion:length=9,angle=30` as a description; any other text names a file."""
    kind, colon, measures = text.partition(":")
    if not colon or Path(text).exists():
        return Path(text)
    kernel: dict[str, Any] = {"kind": kind}
    for each in measures.split(","):
        name, equals, value = each.partition("=")
        try:
            kernel[name] = json.loads(value)
        except ValueError:
            raise typer.BadParameter(f"{each!r} is not NAME=NUMBER", param_hint="KERNEL") from None
    return kernel
