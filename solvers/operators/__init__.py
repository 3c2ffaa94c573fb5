"""Measurement operators; see `base.Operator`."""
