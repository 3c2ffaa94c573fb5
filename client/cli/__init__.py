"""The command `rediffuse`: one module a verb, each a thin call of the client."""

import typer

from client.cli import batch, jobs, operators
from client.cli.deblur import deblur
from client.cli.denoise import denoise
from client.cli.inpaint import inpaint
from client.cli.priors import priors
from client.cli.restore import restore
from client.cli.upscale import upscale

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they would show the API key
    help="Restore images with a Rediffuse service.",
)
app.command()(inpaint)
app.command()(upscale)
app.command()(denoise)
app.command()(deblur)
app.command()(restore)
app.add_typer(operators.app, name="operators")
app.add_typer(batch.app, name="batch")
app.add_typer(jobs.app, name="jobs")
app.command()(priors)
