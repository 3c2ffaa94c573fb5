"""The durable job queue behind a small port; see `base`."""
