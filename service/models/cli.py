"""The command `rediffuse-priors`. Errors are one line on standard error and exit status 1, never a traceback."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from priors.manifest import PriorError, read_manifest
from priors.shelf import Shelf
from service.models import conversion
from service.models.arrival import arriving, check_own
from service.models.console import failures_told, out, out_json, tell_arrival, tell_list, tell_report
from service.models.listing import entries
from service.settings import BUNDLED_PRIORS, Settings, read_settings

if TYPE_CHECKING:  # torch, which only some of the commands need: they import it when they run
    from service.models.check import Report

PICTURE = Path(__file__).parent.parent.parent / "examples" / "pictures" / "original.png"
"""A clean photograph, where the command runs from a checkout."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Bring priors into the models folder of a Rediffuse service, and look at those that are there.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the prior: a-z, 0-9, '.', '_' and '-'.")]
Models = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of your own priors.", show_default="REDIFFUSE_MODELS_DIR"),
]
Licence = Annotated[str, typer.Option(help="Of the weights. Begin with `research only:` where that is so.")]
Symmetries = Annotated[
    Literal["none", "mirror", "dihedral"],
    typer.Option(help="Under which the pictures it was trained on were alike: solvers average over these."),
]
ClassLabel = Annotated[int | None, typer.Option(help="The class that a class-conditional network is always told.")]
TrainedSize = Annotated[int | None, typer.Option(help="Side in pixels, where its `sample_size` does not tell.")]
Prompt = Annotated[str | None, typer.Option(help="What a latent pipeline is always told; nothing where absent.")]
Source = Annotated[str, typer.Option(help="Where it came from; kept in its manifest and card.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A checkpoint of another project: .safetensors, .pt, .pth, .ckpt.")],
    name: Name,
    licence: Licence,
    layout: Annotated[str | None, typer.Option(help="Whose checkpoint it is, where the file does not tell.")] = None,
    symmetries: Symmetries = "none",
    class_label: ClassLabel = None,
    source: Source = "",
    models: Models = None,
) -> None:
    """Make a prior of a checkpoint file, in a process of its own that reads tensors and nothing else."""
    with failures_told():
        settings = read_settings()
        home = models or settings.models_dir
        with arriving(home, name) as folder:
            conversion.convert(
                file,
                folder,
                licence=licence,
                layout=layout,
                symmetries=symmetries,
                class_label=class_label,
                source=source,
            )
            info = read_manifest(folder)
        tell_arrival(info, home, settings)


@app.command()
def adopt(
    folder: Annotated[Path, typer.Argument(help="As diffusers' `save_pretrained` writes it, with safetensors.")],
    licence: Licence,
    symmetries: Symmetries = "none",
    trained_size: TrainedSize = None,
    class_label: ClassLabel = None,
    prompt: Prompt = None,
    source: Source = "",
) -> None:
    """Make a prior of a diffusers folder, where it lies."""
    with failures_told():
        settings, folder = read_settings(), folder.resolve()  # `.` has no name
        check_own(folder.parent)
        if not folder.is_dir():
            raise PriorError(f"there is no folder {folder}")
        from priors import adoption

        adoption.adopt(
            folder,
            licence=licence,
            symmetries=symmetries,
            trained_size=trained_size,
            class_label=class_label,
            prompt=prompt,
            source=source,
        )
        tell_arrival(read_manifest(folder), folder.parent, settings)


@app.command()
def fetch(
    reference: Annotated[str, typer.Argument(metavar="HUB_ID@REVISION", help="A model of the hub, at one commit.")],
    name: Annotated[str | None, typer.Option(help="Of the prior.", show_default="as on the hub")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights.", show_default="as the page on the hub says")
    ] = None,
    symmetries: Symmetries = "none",
    trained_size: TrainedSize = None,
    class_label: ClassLabel = None,
    prompt: Prompt = None,
    models: Models = None,
) -> None:
    """Download a diffusers model from the Hugging Face hub and adopt it: configurations and safetensors only."""
    with failures_told():
        from service.models import hub

        settings, wanted = read_settings(), hub.parse_reference(reference)
        home = models or settings.models_dir
        with arriving(home, name or wanted.default_name) as folder:
            hub.fetch(
                wanted,
                folder,
                licence=licence,
                symmetries=symmetries,
                trained_size=trained_size,
                class_label=class_label,
                prompt=prompt,
            )
            info = read_manifest(folder)
        tell_arrival(info, home, settings)


@app.command("list")
def list_priors(models: Models = None, as_json: AsJson = False) -> None:
    """Every prior that the service has, with the damaged ones and why."""
    with failures_told(as_json):
        settings = read_settings()
        shelf = shelf_of(models, settings)
        default = shelf.home(settings.default_prior) / settings.default_prior
        found = entries(shelf)
        if as_json:
            out_json([entry.as_json() | {"is_default": entry.folder == default} for entry in found])
        else:
            tell_list(found, default)


@app.command()
def check(
    name: Name,
    images: Annotated[
        Path | None,
        typer.Option(help="Clean photographs: a folder of them, or one.", show_default="one of the examples"),
    ] = None,
    models: Models = None,
    as_json: AsJson = False,
) -> None:
    """Load a prior, denoise with it at several levels, and restore one picture. Exit status 1 where something fails."""
    with failures_told(as_json):
        settings = read_settings()
        home = shelf_of(models, settings).home(name)
        if images is None and not PICTURE.is_file():
            raise PriorError("name a folder of clean photographs with --images")
        report = checked(home, name, images or PICTURE, settings)
        if as_json:
            out_json(report.as_json())
        else:
            tell_report(report)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def card(
    name: Name,
    run: Annotated[Path | None, typer.Option(help="Run folder of its training: writes the card from there.")] = None,
    note: Annotated[str, typer.Option(help="A paragraph on its data: sources, attribution, overlap.")] = "",
    beside: Annotated[str, typer.Option(help="Another prior, whose figures stand beside those of this one.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write it anew, after new measurements.")] = False,
    models: Models = None,
) -> None:
    """Print the model card of a prior; written first where it has none."""
    with failures_told():
        shelf = shelf_of(models, read_settings())
        folder = shelf.home(name) / name
        if not folder.is_dir():
            raise PriorError(f"there is no prior named {name!r}")
        from priors.card import CARD, write_card

        if write or note or beside or run is not None or not (folder / CARD).is_file():
            write_card(folder, run, note, shelf.home(beside) / beside if beside else None)
        out((folder / CARD).read_text(encoding="utf-8").rstrip())


def shelf_of(models: Path | None, settings: Settings) -> Shelf:
    return Shelf(models or settings.models_dir, BUNDLED_PRIORS)


def checked(models_dir: Path, name: str, images: Path, settings: Settings) -> "Report":
    """The check, on the device and with the threads of a worker."""
    import torch

    from service.models.check import check
    from service.restoration import choose_device

    if settings.threads:
        torch.set_num_threads(settings.threads)
    return check(models_dir, name, images, choose_device(settings.device))
