"""`rediffuse priors`."""

from rich.console import Console
from rich.table import Table

from api_schemas.catalogue import PriorOut
from client._connection import DEFAULT_URL
from client.cli import options
from client.cli.console import connected, failures_told, out_json


def priors(as_json: options.AsJson = False, url: options.Url = DEFAULT_URL, api_key: options.ApiKey = None) -> None:
    """The priors that the service has."""
    with failures_told(as_json), connected(url, api_key) as client:
        found = client.priors().data
    if as_json:
        out_json([prior.model_dump(mode="json") for prior in found])
        return
    table = Table("prior", "kind", "channels", "size", "noise levels", "digest", "state", "licence")
    for prior in found:
        table.add_row(
            prior.id + default(prior),
            prior.parameterisation,
            str(prior.channels),
            "any" if prior.fully_convolutional else f"{prior.trained_size} px",
            f"{prior.sigma_min:g} to {prior.sigma_max:g}",
            prior.digest[:12],
            prior.state,
            prior.licence,
        )
    for column in table.columns:
        column.no_wrap = column.header != "licence"
    Console().print(table)


def default(prior: PriorOut) -> str:
    """Whether it is taken where none is named; where by some solvers only, by which."""
    if prior.is_default:
        return " (default)"
    return f" ({', '.join(prior.default_of)})" if prior.default_of else ""
