"""PNG without compression: a drawn picture has the same bytes, and data the same fingerprint, on every machine."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image

BLOCK = 65535  # bytes in one stored deflate block
TRUE_COLOUR, INDEXED = 2, 3


def png(image: Image.Image) -> bytes:
    """An RGB image as a PNG file. Pillow's own depends on which zlib it was built with."""
    return png_of(np.asarray(image))


def png_of(pixels: np.ndarray) -> bytes:
    """Pixels (height, width, 3) of uint8 as a PNG file."""
    height, width, _ = pixels.shape
    return _file(pixels.reshape(height, 3 * width), width, TRUE_COLOUR)


def indexed_png(pixels: np.ndarray) -> bytes:
    """The same with a palette, a third of the size, where there are no more than 256 colours."""
    height, width, _ = pixels.shape
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, index = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        return png_of(pixels)
    palette = _chunk(b"PLTE", b"".join(int(colour).to_bytes(3, "big") for colour in colours))
    return _file(index.reshape(height, width).astype(np.uint8), width, INDEXED, palette)


def _file(values: np.ndarray, width: int, kind: int, palette: bytes = b"") -> bytes:
    height = len(values)
    rows = np.zeros((height, 1 + values.shape[1]), np.uint8)  # each row is led by its filter: none
    rows[:, 1:] = values
    raw = rows.tobytes()
    blocks = [raw[start : start + BLOCK] for start in range(0, len(raw), BLOCK)]
    stored = b"".join(
        struct.pack("<BHH", index == len(blocks) - 1, len(block), BLOCK - len(block)) + block
        for index, block in enumerate(blocks)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    body = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(raw))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + palette + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
