"""Fit the uncertainty of a prior to photographs: `python -m benchmarks.calibrate --prior NAME --images FOLDER...`.

For each task the spread is scaled until nine of ten errors lie within 1.645 of it, near what is measured and far from
it, and the numbers are written beside the prior. They belong to its weights: new weights, new numbers. Give it training
pictures; what is reported is of others, by `benchmarks.coverage`.
"""

import math

import torch
from torch import Tensor

from benchmarks.coverage import NOMINAL, QUANTILE, Case, Observation, covered, observations, parser_of
from benchmarks.served import folder_of, served
from solvers.calibration import Calibration, write_calibrations

THINNED = 20_000
"""Values of each case that the fit looks at."""
SLOPES = [step / 50 for step in range(101)]


def ratios(seen: list[Observation]) -> Tensor:
    """(2, n): logarithms of what the spread would have to be multiplied by to hold an error, and of the gap."""
    error, spread, gap = (torch.cat(each) for each in zip(*((o.error, o.spread, o.gap) for o in seen), strict=True))
    return torch.stack([(error / (QUANTILE * spread)).clamp(min=1e-6).log(), gap.log()]).double()


def fit(cases: list[list[Observation]]) -> Calibration:
    """Quantile regression: the line over log gap that `NOMINAL` of the log ratios lie below, each case counting alike.

    Its slope is searched, its offset is a quantile (Koenker and Bassett 1978, "Regression Quantiles").
    """
    found = [ratios(seen) for seen in cases]
    found = [points[:, torch.linspace(0, points.shape[1] - 1, THINNED).long()] for points in found]
    ratio, gap = torch.cat(found, dim=1)
    slopes = SLOPES if gap.max() > gap.min() else (0.0,)

    def line(slope: float) -> tuple[float, float]:
        """Loss and offset."""
        above = ratio - slope * gap
        offset = above.quantile(NOMINAL)
        return float(torch.maximum(NOMINAL * (above - offset), (NOMINAL - 1) * (above - offset)).mean()), float(offset)

    growth = min(slopes, key=lambda slope: line(slope)[0])
    return Calibration(math.exp(line(growth)[1]), growth, measured=True)


def main() -> None:
    arguments = parser_of("calibrate", __doc__).parse_args()
    prior, folder = served(arguments.prior), folder_of(arguments.prior)
    pooled: dict[Case, list[Observation]] = {}
    for by_case in observations(arguments, prior).values():
        for case, seen in by_case.items():
            pooled.setdefault(case, []).extend(seen)
    tasks = dict.fromkeys(case.task.preset for case in pooled)
    found = {task: fit([seen for case, seen in pooled.items() if case.task.preset == task]) for task in tasks}
    for case, seen in pooled.items():
        inside = sum(covered(each, found[case.task.preset]) for each in seen) / len(seen)
        print(f"{case.task.label}: {len(seen)} pictures, {inside:.3f} of the errors in the interval")
    for task, calibration in found.items():
        print(f"{task}: scale {calibration.scale:.3f}, growth {calibration.growth:.3f}")
    print(f"written: {write_calibrations(folder, prior.info.digest, found)}")


if __name__ == "__main__":
    main()
