"""Delivery: HTTP, queue, worker, engine, pictures and storage."""

__version__ = "0.1.0"
