"""Requests with operators, as a client sends them."""

import base64
import io
import json
from typing import Any

import numpy as np

from tests.service.api import Api, png


def post(api: Api, path: str, **fields: Any) -> Any:
    name = "measurement" if path == "/v1/restore" else "image"
    body = {name: {"file_id": api.send(png())}} | fields
    return api.http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})


def restore(api: Api, *parts: dict[str, Any], **fields: Any) -> Any:
    operator = parts[0] if len(parts) == 1 else {"kind": "compose", "operators": list(parts)}
    return post(api, "/v1/restore", operator=operator, **fields)


def data_url(data: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def npy(array: np.ndarray, **options: Any) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return data_url(buffer.getvalue())


def grey_png(width: int = 32, height: int = 24) -> dict[str, str]:
    return {"data_url": data_url(png(width, height, mode="L"))}


KERNELS = [
    {"kind": "gaussian", "width": 1.5},
    {"kind": "motion", "length": 9, "angle": 30},
    {"kind": "path", "size": 15, "intensity": 0.5, "seed": 3},
    {"kind": "disk", "radius": 2.5},
    {"kind": "box", "size": 5},
]
BLUR = {"kind": "blur", "kernel": KERNELS[0]}
HALF = {"kind": "downsample", "scale": 2}
