"""Step-level continuous batching: every denoiser call is shared among all the jobs that are running."""
