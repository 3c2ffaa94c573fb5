"""What a layout is: how one family of foreign checkpoints names its weights, and what they become here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Converted:
    """A checkpoint in this project's words."""

    config: dict[str, Any]
    """What goes into `config.json`; its `_class_name` says which network it is."""
    weights: dict[str, Tensor]
    """By the names of that network, in the checkpoint's own dtype."""
    manifest: dict[str, Any]
    """The fields of `prior.json` but for licence, symmetries, source and digest, which the file does not tell."""


class Layout(Protocol):
    """One family of foreign checkpoints."""

    name: str
    """What a user asks for it by; a key of `priors.conversion.layouts.LAYOUTS`."""
    description: str
    """One line: whose checkpoints, and what they predict."""

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        """Whether names and shapes are of this layout. Two layouts may recognise one state and differ in arithmetic."""
        ...

    def convert(self, state: Mapping[str, Tensor], class_label: int | None) -> Converted:
        """The same network in this project's words.

        class_label: the class that a class-conditional network is always told; None for a network without classes.
        Raises PriorError for a state that is not of this layout, or that cannot be expressed.
        """
        ...
