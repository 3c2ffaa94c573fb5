"""How well the averaged weights do on photographs kept out of the training, at each checkpoint."""

import torch

from priors.evaluation import LEVELS, psnr
from priors.training.state import Training

LOSS_BATCHES, BATCH = 8, 16
PSNR_CROPS = 16


class Validation:
    """Always the same crops and noise, so that two values differ by the weights alone."""

    def __init__(self, training: Training):
        self.training = training
        crops, size = training.data.held_out, min(training.config.crop_sizes)
        self.clean = torch.cat([crops.batch(index, range(BATCH), size) for index in range(LOSS_BATCHES)])
        self.clean = self.clean.to(training.processes.device)  # (N, 3, size, size)

    @torch.no_grad()
    def loss(self) -> float:
        """The objective, over levels drawn as in training."""
        objective, rng = self.training.objective, torch.Generator().manual_seed(12345)
        losses = []
        with self.training.averaged() as network:
            for clean in self.clean.split(BATCH):
                draws = torch.randn(len(clean), objective.draws, generator=rng).to(clean.device)
                noise = torch.randn(clean.shape, generator=rng).to(clean.device)
                losses.append(objective.losses(network, clean, draws, noise).mean())
        return float(torch.stack(losses).mean())

    @torch.no_grad()
    def psnr(self) -> dict[str, float]:
        """dB of denoised crops by the standard deviation of their noise on [0, 255]."""
        clean, rng = self.clean[:PSNR_CROPS], torch.Generator().manual_seed(12346)
        noise = torch.randn(clean.shape, generator=rng).to(clean.device)
        scores = {}
        with self.training.averaged() as network:
            for sigma in (level for level in LEVELS if level <= self.training.config.sigma_max):
                noisy, levels = clean + sigma * noise, clean.new_full((len(clean),), sigma)
                denoised = self.training.objective.denoise(network, noisy, levels).clamp(-1, 1)
                rows = [psnr(x, x0) for x, x0 in zip(denoised, clean, strict=True)]
                scores[f"{127.5 * sigma:g}"] = round(sum(rows) / len(rows), 2)
        return scores
