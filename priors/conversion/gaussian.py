"""Released denoisers of Gaussian noise: `priors.gaussian` has their networks, under the names of their own weights.

A file tells depth and width, not the noise that it was trained on: that is declared as of the released colour models,
which all saw levels from 0. They are RGB on [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from priors.conversion.layout import Converted
from priors.gaussian import GAUSSIAN, empty_gaussian
from priors.manifest import PriorError

SIGMA_MIN = 1
"""Of 255: below it the released networks answer with more error than the noise had."""
CROP = 50
"""Side in pixels of the crops of all three papers."""


@dataclass(frozen=True)
class GaussianLayout:
    """The weights of one class of `priors.gaussian`."""

    name: str
    description: str
    network: str
    convolutions: str
    """What the names of its convolutions begin with."""
    sigma_max: float
    """The largest level of its training, of 255."""

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        return self._config(state) is not None

    def convert(self, state: Mapping[str, Tensor], class_label: int | None) -> Converted:
        config = self._config(state)
        if config is None:
            raise PriorError(f"the weights are no {self.network} for RGB pictures")
        if class_label is not None:
            raise PriorError(f"a {self.network} has no classes, the class given is {class_label}")
        for key, value in state.items():
            if key.startswith("running_sd.") and not (value > 0).all():
                raise PriorError(f"the weight {key} holds values that are no standard deviations")
        parameterisation, time_map = GAUSSIAN[self.network].predicts
        manifest = {
            "kind": "pixel",
            "parameterisation": parameterisation,
            "time_map": time_map,
            "data_range": [0, 1],
            "sigma_min": round(2 * SIGMA_MIN / 255, 6),  # on [-1, 1]
            "sigma_max": round(2 * self.sigma_max / 255, 6),
            "trained_size": CROP,
            "size_multiple": 1,
        }
        return Converted(config, dict(state), manifest)

    def _config(self, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """`config.json`, where names and shapes are exactly those of such a network; else None."""
        names = [key for key in state if key.startswith(self.convolutions) and key.endswith(".weight")]
        first = state.get(f"{self.convolutions}0.weight")
        if first is None or first.ndim != 4:
            return None
        config = {"_class_name": self.network, "depth": len(names), "width": first.shape[0]}
        try:
            expected = empty_gaussian(config, self.name).state_dict()
        except PriorError:  # deeper or wider than any
            return None
        shapes = {key: value.shape for key, value in expected.items()}
        return config if shapes == {key: value.shape for key, value in state.items()} else None


LAYOUTS = (
    GaussianLayout(
        name="bf-dncnn",
        description="bias-free DnCNN (BF-CNN, ScoreDVI): blind, predicts the noise, 0 to 100 of 255",
        network="BiasFreeDnCNN",
        convolutions="conv_layers.",
        sigma_max=100,
    ),
    GaussianLayout(
        name="dncnn",
        description="DnCNN with bias (KAIR): blind, predicts the noise, 0 to 55 of 255",
        network="DnCNN",
        convolutions="model.",
        sigma_max=55,
    ),
    GaussianLayout(
        name="ffdnet",
        description="FFDNet (KAIR): told the level, predicts the image, 0 to 75 of 255",
        network="FFDNet",
        convolutions="model.",
        sigma_max=75,
    ),
)
