"""Every layout of foreign checkpoints that is understood, by name; and which of them a file has."""

from collections.abc import Mapping

from torch import Tensor

from priors.conversion.layout import Layout
from priors.manifest import PriorError

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in ()}


def find_layout(state: Mapping[str, Tensor], name: str | None) -> Layout:
    """The layout `name`, or the one layout that recognises `state`.

    Raises PriorError for an unknown name, for a state that no layout recognises, and for one that several do: they
    would make different networks of the same file, and nothing in it tells which is right.
    """
    known = ", ".join(LAYOUTS)
    if name is not None:
        if name not in LAYOUTS:
            raise PriorError(f"there is no layout {name!r}, only {known}")
        return LAYOUTS[name]
    fitting = [layout for layout in LAYOUTS.values() if layout.recognises(state)]
    if not fitting:
        raise PriorError(f"weights named {sorted(state)[:3]} are of no known layout ({known})")
    if len(fitting) > 1:
        names = " or ".join(layout.name for layout in fitting)
        raise PriorError(f"its weights could be {names}, which compute differently: say which with `layout`")
    return fitting[0]
