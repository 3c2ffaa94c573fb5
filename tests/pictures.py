"""Small generated pictures for tests, as files in every format: nothing binary lies in the repository."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

SIZE = (37, 53)
"""Height and width: odd and not square."""


def noise(channels: int, dtype: type = np.uint8, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """(H, W, C) with every value of the depth possible."""
    white = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, white, (*size, channels), dtype=dtype, endpoint=True)


def smooth(channels: int, dtype: type = np.uint8, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, C) gradients of moderate colours, which lossy formats and gamuts can hold."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    waves = [0.5 + 0.2 * np.sin(2 * np.pi * (x / size[1] + (i + 1) * y / (3 * size[0]))) for i in range(channels)]
    return np.rint(np.stack(waves, axis=-1) * np.iinfo(dtype).max).astype(dtype)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def picture_file(samples: np.ndarray, mode: str, format: str, **options: object) -> bytes:
    """An 8-bit file of (H, W, C) samples, written by Pillow."""
    height, width = samples.shape[:2]
    return saved(Image.frombytes(mode, (width, height), samples.tobytes()), format, **options)


def exif_block(tags: dict[int, object], details: dict[int, object] | None = None) -> bytes:
    """An EXIF block with these tags in its first directory and `details` in its EXIF directory."""
    exif = Image.Exif()
    exif.update(tags)
    if details:
        exif.get_ifd(0x8769).update(details)
    return exif.tobytes()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_file(samples: np.ndarray, extra_chunks: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG of (H, W, C) uint8 or uint16 samples by the plainest reading of the standard: rows without filters."""
    height, width, channels = samples.shape
    header = struct.pack(
        ">IIBBBBB", width, height, 8 * samples.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, interlaced
    )
    big_endian = samples.astype(samples.dtype.newbyteorder(">"))
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [big_endian[y::dy, x::dx] for y, x, dy, dx in starts] if interlaced else [big_endian]
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra_chunks
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_samples(data: bytes) -> np.ndarray:
    """The samples of a PNG that uses no filter but None and Sub, read by the plainest reading of the standard."""
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    position, packed = 8, b""
    while position < len(data):
        length = struct.unpack_from(">I", data, position)[0]
        name, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(name + body)
        packed += body if name == b"IDAT" else b""
        position += 12 + length
    step = {0: 1, 4: 2, 2: 3, 6: 4}[kind] * depth // 8
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * step)
    answer = rows[:, 1:].reshape(height, width, step).copy()
    for y in np.flatnonzero(rows[:, 0] == 1):
        answer[y] = np.cumsum(answer[y], axis=0, dtype=np.uint8)
    assert set(rows[:, 0]) <= {0, 1}
    return answer.reshape(height, -1).view(f">u{depth // 8}").reshape(height, width, -1).astype(f"u{depth // 8}")


def tiff_file(
    samples: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    compressed: bool = False,
    extra: int | None = None,
    sample_format: int = 1,
    separate: bool = False,
    icc: bytes | None = None,
) -> bytes:
    """A one-strip TIFF of (H, W, C) samples; `separate` stores one plane after the other. No writer of ours is used."""
    height, width, channels = samples.shape
    stored = samples.astype(samples.dtype.newbyteorder(order))
    planes = [stored[..., i].tobytes() for i in range(channels)] if separate else [stored.tobytes()]
    planes = [zlib.compress(plane) for plane in planes] if compressed else planes
    tags: dict[int, tuple[int, list[int]]] = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [8 * samples.itemsize] * channels),
        259: (3, [8 if compressed else 1]),
        262: (3, [photometric]),
        273: (4, [0] * len(planes)),
        277: (3, [channels]),
        278: (3, [height]),
        279: (4, [len(plane) for plane in planes]),
        284: (3, [2 if separate else 1]),
        339: (3, [sample_format] * channels),
    }
    if extra is not None:
        tags[338] = (3, [extra])
    if icc is not None:
        tags[34675] = (7, list(icc))
    return _tiff_bytes(tags, planes, order)


def _tiff_bytes(tags: dict[int, tuple[int, list[int]]], planes: list[bytes], order: str) -> bytes:
    directory = 2 + 12 * len(tags) + 4
    codes = {3: "H", 4: "I", 7: "B"}
    side = 64 + sum(struct.calcsize(codes[kind]) * len(v) for kind, v in tags.values() if len(v) > 1)
    position = 8 + directory + side
    tags[273] = (4, [position + sum(map(len, planes[:i])) for i in range(len(planes))])
    entries, aux = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        body = struct.pack(f"{order}{len(values)}{codes[kind]}", *values)
        if len(body) > 4:
            field = struct.pack(f"{order}I", 8 + directory + len(aux))
            aux += body + b"\0" * (len(body) % 2)
        else:
            field = body.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + field
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    head += struct.pack(f"{order}H", len(tags)) + entries + b"\0\0\0\0"
    return (head + aux).ljust(position, b"\0") + b"".join(planes)


def matrix_profile(
    primaries: list[tuple[float, float]], curve: bytes, space: bytes = b"RGB ", extra: dict[bytes, bytes] | None = None
) -> bytes:
    """An ICC version 2 display profile with a D65 white, these xy primaries and one tone curve tag for all channels."""
    white = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    matrix = _bradford(white) @ (columns * np.linalg.solve(columns, white))
    tags = {b"wtpt": _xyz(np.array([0.9642, 1.0, 0.8249])), b"desc": b"desc".ljust(12, b"\0") + b"\0" * 80}
    for i, name in enumerate((b"r", b"g", b"b")):
        tags |= {name + b"XYZ": _xyz(matrix[:, i]), name + b"TRC": curve}
    return icc_profile(tags | (extra or {}), space)


def icc_profile(tags: dict[bytes, bytes], space: bytes, kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    position = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, position + len(bodies), len(body))
        bodies += body.ljust(-(-len(body) // 4) * 4, b"\0")
    header = struct.pack(">I4sI4s4s4s", position + len(bodies), b"lcms", 0x02400000, kind, space, pcs)
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)  # D50
    return header.ljust(128, b"\0") + table + bodies


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def sampled_curve(values: np.ndarray) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">I", len(values)) + np.rint(values * 65535).astype(">u2").tobytes()


def parametric_curve(kind: int, *values: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(f">HH{len(values)}i", kind, 0, *(round(v * 65536) for v in values))


SRGB_PRIMARIES = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]
P3_PRIMARIES = [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)]
SRGB_CURVE = parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def display_p3() -> bytes:
    return matrix_profile(P3_PRIMARIES, SRGB_CURVE)


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def grey_profile(gamma: float) -> bytes:
    tags = {b"wtpt": _xyz(np.array([0.9642, 1.0, 0.8249])), b"kTRC": gamma_curve(gamma)}
    return icc_profile(tags | {b"desc": b"desc".ljust(92, b"\0")}, b"GRAY")


def cmyk_profile() -> bytes:
    """A crude printer: tables with two entries an axis between ink and Lab, as `mft2` (ICC.1:2022, 10.10)."""
    to_lab = []
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        light = (1 - k) * (1 - 0.3 * c - 0.59 * m - 0.11 * y)
        to_lab += [light * 0xFF00, 0x8000 + (m - c) * 0x3000 * (1 - k), 0x8000 + (y - (c + m) / 2) * 0x3000 * (1 - k)]
    to_ink = []
    for lightness, _a, _b in np.ndindex(2, 2, 2):
        to_ink += [0.0, 0.0, 0.0, (1 - lightness) * 65535.0]  # black ink alone
    tags = {b"wtpt": _xyz(np.array([0.9642, 1.0, 0.8249])), b"desc": b"desc".ljust(92, b"\0")}
    tables = {b"A2B": _table(4, 3, to_lab), b"B2A": _table(3, 4, to_ink)}
    tags |= {name + intent: body for name, body in tables.items() for intent in (b"0", b"1")}
    return icc_profile(tags, b"CMYK", b"prtr", b"Lab ")


def _table(inputs: int, outputs: int, nodes: list[float]) -> bytes:
    head = b"mft2\0\0\0\0" + struct.pack(">BBBB9i", inputs, outputs, 2, 0, *np.eye(3, dtype=int).ravel() * 65536)
    straight = struct.pack(">HH", 0, 65535)
    body = np.rint(nodes).astype(">u2").tobytes()
    return head + struct.pack(">HH", 2, 2) + straight * inputs + body + straight * outputs


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def _bradford(white: np.ndarray) -> np.ndarray:
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    return np.linalg.inv(cone) @ np.diag((cone @ d50) / (cone @ white)) @ cone
