"""`rediffuse operators`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from client._connection import DEFAULT_URL
from client.cli import options
from client.cli.console import connected, failures_told, out
from client.cli.restore import read_operator
from client.cli.single import beside, check_may_write
from client.saving import write_atomically

app = typer.Typer(no_args_is_help=True, help="Try out what `rediffuse restore` undoes.")

Direction = Annotated[
    Literal["forward", "adjoint", "pseudoinverse"],
    typer.Option(help="`forward` measures the picture; the others take a measurement back."),
]
Added = Annotated[
    str | None, typer.Option(help="White noise to add: a standard deviation on the 0 to 1 scale, as 0.1 or 25/255.")
]
NoiseSeed = Annotated[int | None, typer.Option(help="Of the noise; 0 where absent.")]


@app.command()
def apply(
    image: Annotated[Path, typer.Argument(help="A small picture, or an array in an `.npy` file.")],
    operator: Annotated[str, typer.Argument(help="JSON, or a file of it; see `/v1/operators`.")],
    *,
    output: options.Out = None,
    direction: Direction = "forward",
    sigma: Added = None,
    seed: NoiseSeed = None,
    force: options.Force = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """What an operator makes of a picture. An `.npy` output has all values; pictures end at black and white."""
    target = output or beside(image, "applied")
    fields: dict[str, Any] = {"output": {"format": options.format_of(target)}, "seed": seed}
    if sigma is not None:
        fields["noise"] = options.noise(sigma)
    described = read_operator(operator)
    with failures_told():
        check_may_write(target, force)
        with connected(url, api_key) as client:
            write_atomically(target, client.apply_operator(image, described, direction, **fields))
        out(str(target))
