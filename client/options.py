"""Options of the tasks, as keyword arguments. A test holds them equal to `api_schemas.requests`.

What is absent is left to the service, which documents its defaults under `/docs`.
"""

from typing import Any, TypedDict

from api_schemas.images import MaskMode, Noise, NoiseLevel, OutputOptions
from api_schemas.kernels import Boundary, ShrinkingKernel
from api_schemas.requests import PreviewOptions, Priority, UncertaintyOptions
from api_schemas.solvers import Preset, SolverParams

Fields = dict[str, Any]


class CommonOptions(TypedDict, total=False):
    prior: str
    solver: str
    params: SolverParams | Fields
    preset: Preset
    seed: int
    num_samples: int
    uncertainty: UncertaintyOptions | Fields
    output: OutputOptions | Fields
    preview: PreviewOptions | Fields
    priority: Priority
    deadline_s: float
    metadata: dict[str, str]
    client_ref: str


class InpaintOptions(CommonOptions, total=False):
    mask_mode: MaskMode
    mask_threshold: float
    grow_mask: int
    noise: Noise | Fields
    known_pixels: str


class SuperResolutionOptions(CommonOptions, total=False):
    kernel: ShrinkingKernel | Fields
    noise: Noise | Fields


class DenoiseOptions(CommonOptions, total=False):
    noise: Noise | Fields


class DeblurOptions(CommonOptions, total=False):
    boundary: Boundary
    noise: Noise | Fields


class RestoreOptions(CommonOptions, total=False):
    noise: Noise | Fields


class ApplyOptions(TypedDict, total=False):
    noise: NoiseLevel | Fields
    seed: int
    output: OutputOptions | Fields
