"""PNG with 16 bits a channel, which Pillow does not write for colour (PNG specification, third edition)."""

import struct
import zlib

import numpy as np

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Number of channels to the colour type of the header: grey, grey and alpha, RGB, RGBA."""
FILTER_SUB = 1
BLOCK_ROWS = 256
INCH = 0.0254


def write_png16(samples: np.ndarray, icc: bytes | None, exif: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """The file of (H, W, C) uint16 `samples`, C = 1 to 4. `exif` is a bare TIFF block."""
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if dpi:
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(value / INCH) for value in dpi), 1)))
    if exif:
        parts.append(_chunk(b"eXIf", exif))
    packer = zlib.compressobj(6, strategy=zlib.Z_FILTERED)
    for top in range(0, height, BLOCK_ROWS):
        if packed := packer.compress(_filtered(samples[top : top + BLOCK_ROWS])):
            parts.append(_chunk(b"IDAT", packed))
    parts += [_chunk(b"IDAT", packer.flush()), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _filtered(rows: np.ndarray) -> bytes:
    """Each row as its filter number and the byte-wise differences to the pixel on its left."""
    height, _, channels = rows.shape
    octets = rows.astype(">u2").view(np.uint8).reshape(height, -1)
    answer = np.empty((height, 1 + octets.shape[1]), dtype=np.uint8)
    answer[:, 0] = FILTER_SUB
    answer[:, 1:] = octets
    answer[:, 1 + 2 * channels :] -= octets[:, : -2 * channels]
    return answer.tobytes()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))
