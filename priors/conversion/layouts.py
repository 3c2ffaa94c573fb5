"""Every layout of foreign checkpoints that is understood, by name; and which of them a file has."""

from collections.abc import Mapping

from torch import Tensor

from priors.conversion import ddpm, gaussian, openai
from priors.conversion.layout import Layout
from priors.manifest import PriorError

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (*openai.LAYOUTS, *ddpm.LAYOUTS, *gaussian.LAYOUTS)}
REFUSALS: dict[str, Layout] = {layout.name: layout for layout in openai.REFUSALS}
"""Known checkpoints that are recognised only for their own words of refusal."""


def find_layout(state: Mapping[str, Tensor], name: str | None) -> Layout:
    """The layout `name`, or the one layout that recognises `state`.

    A name decides where several recognise the state, or none: a network that one has trained oneself. It does not
    overrule the only ones that do. Raises PriorError for an unknown or overruled name, for a state that no layout
    recognises, and for one that several do: they would make different networks of the same file, and nothing in it
    tells which is right.
    """
    every = LAYOUTS | REFUSALS
    fitting = [layout for layout in every.values() if layout.recognises(state)]
    names, known = " or ".join(layout.name for layout in fitting), ", ".join(LAYOUTS)
    if name is not None:
        if name not in every:
            raise PriorError(f"there is no layout {name!r}, only {known}")
        if fitting and every[name] not in fitting:
            raise PriorError(f"its weights are those of {names}, not of {name}")
        return every[name]
    if not fitting:
        raise PriorError(
            f"its weights, {sorted(state)[:3]} and so on, are of no known checkpoint; where it computes as one of "
            f"these layouts, name it: {known}"
        )
    if len(fitting) > 1:
        raise PriorError(f"its weights could be of {names}, which compute differently: name the layout")
    return fitting[0]
