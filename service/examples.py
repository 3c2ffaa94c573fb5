"""One example of each thing on the wire, for the OpenAPI description. A test parses them all."""

from typing import Any

FILE_ID = "file_0f7c1e8c2e0b4f0f9f2a7a54f8c9d3aa"
JOB_ID = "5f1a5c1e-0c39-5c2e-9d0f-3d1f7a6f2f11"
BATCH_ID = "8f5b7f0e-5df5-4a8e-8a53-0c7a8f3a2b10"
SHA256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
T0, T1, T2, T3 = (f"2026-11-22T12:00:{second}Z" for second in ("00", "01", "04", "05"))

REQUESTS: dict[str, dict[str, Any]] = {
    "inpaint": {"image": {"file_id": FILE_ID}, "mask": {"file_id": FILE_ID}, "seed": 7},
    "super_resolution": {"image": {"file_id": FILE_ID}, "scale": 4, "kernel": "bicubic"},
    "denoise": {"image": {"file_id": FILE_ID}, "noise": "auto", "params": {"sweeps": 12}},
    "deblur": {
        "image": {"file_id": FILE_ID},
        "kernel": {"kind": "motion", "length": 9, "angle": 30},
        "uncertainty": {"method": "ensemble", "samples": 8},
    },
    "restore": {
        "measurement": {"file_id": FILE_ID},
        "operator": {
            "kind": "compose",
            "operators": [
                {"kind": "blur", "kernel": {"kind": "gaussian", "width": 1.5}},
                {"kind": "downsample", "scale": 2},
            ],
        },
        "noise": {"sigma": 0.01},
        "solver": "diffpir",
        "params": {"steps": 50},
    },
    "apply": {
        "image": {"file_id": FILE_ID},
        "operator": {"kind": "mask", "pattern": {"kind": "random", "missing": 0.5, "seed": 1}},
        "direction": "forward",
        "noise": {"sigma": 0.05},
        "seed": 3,
    },
}
FORMS: dict[str, dict[str, Any]] = {
    "inpaint": {"image": "@photo.png", "mask": "@mask.png", "mask_mode": "white_unknown"},
    "super_resolution": {"image": "@photo.png", "scale": 4},
    "denoise": {"image": "@photo.png", "noise": "auto"},
    "deblur": {"image": "@photo.png", "kernel_image": "@kernel.png", "boundary": "reflect"},
    "restore": {"measurement": "@small.png", "operator": '{"kind": "downsample", "scale": 2, "kernel": "box"}'},
    "apply": {"image": "@photo.png", "operator": '{"kind": "blur", "kernel": {"kind": "disk", "radius": 3}}'},
}
INPUT = {"file_id": FILE_ID, "sha256": SHA256, "width": 256, "height": 256, "media_type": "image/png", "bytes": 98304}
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "object": "job",
    "task": "denoise",
    "status": "succeeded",
    "cancel_requested": False,
    "priority": "normal",
    "created_at": T0,
    "started_at": T1,
    "finished_at": T2,
    "expires_at": "2026-11-29T12:00:04Z",
    "queue": None,
    "progress": {"step": 7, "total_steps": 7, "fraction": 1.0, "eta_s": 0.0, "data_residual": 0.05, "sigma": 0.02},
    "attempt": 1,
    "retry_of": None,
    "batch_id": None,
    "request": {
        "task": "denoise",
        "solver": "score_dvi",
        "prior": "denoiser-v4",
        "prior_digest": SHA256,
        "component_digests": [],
        "seed": 7,
        "image": INPUT,
    },
    "result": {
        "artifacts": [
            {
                "name": "result",
                "url": f"/v1/jobs/{JOB_ID}/artifacts/result",
                "media_type": "image/png",
                "width": 256,
                "height": 256,
                "bytes": 98304,
                "sha256": SHA256,
                "expires_at": "2026-11-29T12:00:04Z",
            }
        ],
        "metrics": {
            "data_residual": 0.05,
            "noise_sigma_estimated": 0.049,
            "noise_b8": 8.1,
            "noise_probability": 1.0,
            "clean": False,
            "sweeps": 7.0,
            "uncertainty_scale": 0.04,
            "uncertainty_rms": 0.02,
            "noise_map_scale": 0.13,
            "noise_map_rms": 0.11,
        },
        "warnings": [],
    },
    "error": None,
    "timings": {"queue_s": 1.0, "load_s": 0.0, "run_s": 2.9, "denoiser_calls": 10, "mean_batch": 6.5},
    "worker": {"device": "cpu", "precision": "float32"},
    "metadata": {"album": "1974"},
    "client_ref": None,
    "links": {
        "self": f"/v1/jobs/{JOB_ID}",
        "events": f"/v1/jobs/{JOB_ID}/events",
        "result": f"/v1/jobs/{JOB_ID}/result",
        "cancel": f"/v1/jobs/{JOB_ID}/cancel",
    },
}
JOB_LIST = {"object": "list", "data": [JOB], "has_more": False, "next_cursor": None}
FILE: dict[str, Any] = {
    "id": FILE_ID,
    "object": "file",
    "sha256": SHA256,
    "width": 256,
    "height": 256,
    "mode": "RGB",
    "format": "PNG",
    "bit_depth": 8,
    "has_alpha": False,
    "has_icc": False,
    "bytes": 98304,
    "created_at": T0,
    "expires_at": "2026-11-29T12:00:00Z",
}
BATCH_REQUEST: dict[str, Any] = {
    "task": "inpaint",
    "defaults": {"preset": "fast"},
    "items": [{"image": {"file_id": FILE_ID}, "mask": {"file_id": FILE_ID}, "client_ref": "a.png"}],
}
BATCH: dict[str, Any] = {
    "id": BATCH_ID,
    "object": "batch",
    "task": "inpaint",
    "created_at": T0,
    "counts": {"queued": 1, "running": 0, "succeeded": 0, "failed": 0, "canceled": 0, "expired": 0, "refused": 0},
    "items": [{"index": 0, "client_ref": "a.png", "job_id": JOB_ID, "problem": None}],
}
PRIOR: dict[str, Any] = {
    "id": "natural-v1",
    "object": "prior",
    "is_default": True,
    "default_of": ["red_diff", "dps", "pigdm", "ddnm", "diffpir", "daps"],
    "kind": "pixel",
    "parameterisation": "edm",
    "channels": 3,
    "size_multiple": 8,
    "trained_size": 64,
    "fully_convolutional": True,
    "symmetries": "dihedral",
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "licence": "Apache-2.0",
    "digest": SHA256,
    "state": "ready",
}
QUEUE = {"queued": {"low": 0, "normal": 3, "high": 0}, "running": 2, "oldest_age_s": 4.2, "workers": 1}
RETRY = {"seed": 8, "priority": "high"}
SOLVERS = {
    "data": [
        {
            "name": "red_diff",
            "object": "solver",
            "title": "RED-Diff: variational restoration with a diffusion denoiser as regulariser",
            "reference": "Mardani et al. 2023, arXiv:2305.04391",
            "tasks": ["inpaint", "super_resolution", "denoise", "deblur", "restore"],
            "operators": "any",
            "differentiates": False,
            "hint": "aims at the mean of the posterior with few calls; one denoiser call a step",
            "params_schema": {"type": "object", "properties": {"steps": {"type": "integer"}}},
            "presets": {"denoise": {"fast": {"mode": "fast", "steps": 8}}},
        }
    ]
}
OPERATORS = {
    "data": [
        {
            "name": "downsample",
            "object": "operator",
            "description": "Filters and keeps one pixel of each square: the operator of super-resolution.",
            "params_schema": {"type": "object", "properties": {"scale": {"enum": [2, 3, 4, 8]}}},
        }
    ]
}
INFO = {
    "name": "rediffuse",
    "version": "0.1.0",
    "tasks": ["inpaint", "super_resolution", "denoise", "deblur", "restore"],
    "default_prior": "natural-v1",
    "default_denoiser": "denoiser-v4",
    "workers": 1,
    "limits": {
        "max_file_bytes": 104857600,
        "max_pixels": 20000000,
        "max_apply_pixels": 1048576,
        "max_sample_pixels": 64000000,
        "max_trained_pixels": 1000000000,
        "min_side": 16,
        "max_batch_items": 1000,
        "max_queued": 10000,
        "max_wait_s": 60.0,
        "retention_s": 604800.0,
    },
    "features": {"batches": True, "events": True, "previews": True, "webhooks": False, "image_urls": False},
}
EVENT_STREAM = 'event: job.progress\ndata: {"step": 3, "total_steps": 20, "fraction": 0.15}\nid: 4\n\n'
METRICS = 'rediffuse_engine_batch_size_bucket{le="8.0",prior="natural-v1"} 12.0\n'
