"""Inverse problems: operators, variational solvers, metrics. Knows tensors and nothing of priors, jobs or devices."""
