"""Checkpoints of other projects become folders that `priors.store` reads: once, offline, and checked on the way."""
