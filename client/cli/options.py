"""Options that several verbs share, and what they become in a request."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from api_schemas.images import MaskMode
from api_schemas.solvers import Preset
from client._connection import DEFAULT_URL

FORMAT_OF_SUFFIX = {
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".npy": "npy",
}

Url = Annotated[str, typer.Option(envvar="REDIFFUSE_URL", help="Address of the service.", show_default=DEFAULT_URL)]
ApiKey = Annotated[str | None, typer.Option(envvar="REDIFFUSE_API_KEY", help="Key of the service, where it asks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write; its suffix chooses the format.",
        show_default="a PNG beside the picture, named after it",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Write over what is there.")]
Seed = Annotated[int | None, typer.Option(help="The same seed gives the same picture; drawn, and told, where absent.")]
Prior = Annotated[str | None, typer.Option(help="Name of the prior; see `rediffuse priors`.")]
PresetName = Annotated[
    Preset | None, typer.Option(help="How many denoiser calls: `fast` where absent; not of `score_dvi`.")
]
Steps = Annotated[int | None, typer.Option(help="Denoiser calls, in place of the preset's; not of `score_dvi`.")]
Param = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the solver; may be repeated.")
]
Sigma = Annotated[
    str | None,
    typer.Option(help="Noise in the image: `auto`, or a standard deviation on the 0 to 1 scale, as 0.1 or 25/255."),
]
MaskModeName = Annotated[MaskMode | None, typer.Option("--mask-mode", help="Which pixels of the mask are lost.")]
GrowMask = Annotated[int | None, typer.Option(help="Pixels by which the hole is widened.")]
OutputFormat = Annotated[
    Literal["png", "tiff", "webp", "jpeg", "same"],
    typer.Option("--format", help="Of the results; `same` as each source."),
]
Solver = Annotated[str | None, typer.Option(help="`red_diff` where absent; see `/v1/solvers`.")]
Denoiser = Annotated[
    str | None, typer.Option("--solver", help="`score_dvi`, for photographs, where absent; `red_diff` for white noise.")
]
Scale = Annotated[int, typer.Option(help="2, 3, 4 or 8.")]


def request_options(
    *,
    seed: int | None,
    prior: str | None,
    preset: str | None,
    steps: int | None,
    param: list[str] | None,
    sigma: str | None,
    output_format: str,
    **others: Any,
) -> dict[str, Any]:
    """The options of a request. What is absent is left to the service, which checks the rest."""
    params = solver_parameters(param or []) | ({} if steps is None else {"steps": steps})
    options = {
        "seed": seed,
        "prior": prior,
        "preset": preset,
        "params": params or None,
        "noise": None if sigma is None else noise(sigma),
        "output": {"format": output_format},
        **others,
    }
    return {name: value for name, value in options.items() if value is not None}


def solver_parameters(given: list[str]) -> dict[str, Any]:
    """`["steps=20", "mode=paper"]` as a mapping; values are JSON where they can be, else text."""
    parameters = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"{each!r} is not NAME=VALUE", param_hint="--param")
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            parameters[name] = value
    return parameters


def noise(sigma: str) -> str | dict[str, float]:
    """`auto`, `0.1` or `25/255` as the field `noise`."""
    if sigma == "auto":
        return sigma
    above, _, below = sigma.partition("/")
    try:
        level = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter("give `auto`, or a number such as 0.1 or 25/255", param_hint="--sigma") from None
    if not 0 <= level <= 1:
        raise typer.BadParameter("give 0 to 1: a level of 25 on the 0 to 255 scale is 25/255", param_hint="--sigma")
    return {"sigma": level}


def format_of(path: Path) -> str:
    """The file format that the suffix of `path` names."""
    try:
        return FORMAT_OF_SUFFIX[path.suffix.lower()]
    except KeyError:
        raise typer.BadParameter(f"the name must end in {', '.join(FORMAT_OF_SUFFIX)}", param_hint="--output") from None
