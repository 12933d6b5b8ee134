"""PNG without compression: a drawn picture has the same bytes, and data the same fingerprint, on every machine."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image

BLOCK = 65535  # bytes in one stored deflate block


def png(image: Image.Image) -> bytes:
    """An RGB image as a PNG file. Pillow's own depends on which zlib it was built with."""
    return png_of(np.asarray(image))


def png_of(pixels: np.ndarray) -> bytes:
    """Pixels (height, width, 3) of uint8 as a PNG file."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row is led by its filter: none
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    raw = rows.tobytes()
    blocks = [raw[start : start + BLOCK] for start in range(0, len(raw), BLOCK)]
    stored = b"".join(
        struct.pack("<BHH", index == len(blocks) - 1, len(block), BLOCK - len(block)) + block
        for index, block in enumerate(blocks)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(raw))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
