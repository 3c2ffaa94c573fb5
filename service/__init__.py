"""Delivery: HTTP, queue, worker, engine, pictures and storage."""
