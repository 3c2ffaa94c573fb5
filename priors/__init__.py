"""Denoisers: load, adapt, tile and train. Every prior answers `denoise(x, sigma)`; see `priors.base`."""
