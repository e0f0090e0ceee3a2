"""Makes a safe PNG of whatever a provider calls a picture.

Only the pixels survive: the bytes are decoded within bounds and encoded anew, so that no
metadata, trailing data or second format in one file reaches a reader.
"""

from __future__ import annotations

import base64
import hashlib
import io

from PIL import Image as Pillow

from services.images.domain import Picture

BYTES_MAX = 20 * 1024 * 1024
PIXELS_MAX = 25_000_000
SIDE_MIN_PX = 64
SIDE_MAX_PX = 8192
FORMATS = ("PNG", "JPEG", "WEBP")


_UNDECODABLE = (
    Pillow.DecompressionBombError,
    Pillow.DecompressionBombWarning,
    OSError,
    SyntaxError,  # what Pillow raises for broken PNG chunks
    ValueError,
)


class UnusablePictureError(Exception):
    """The bytes are not a picture that may be stored."""


def picture_from_base64(text: str) -> Picture:
    """Decodes and checks. Takes CPU time: call it in a thread. Raises UnusablePictureError."""
    if len(text) > BYTES_MAX * 4 // 3 + 4:
        raise UnusablePictureError("the file is too large")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UnusablePictureError("the file is not base64") from error
    return picture_from_bytes(data)


def picture_from_bytes(data: bytes) -> Picture:
    """Decodes, bounds and encodes anew. Raises UnusablePictureError."""
    if len(data) > BYTES_MAX:
        raise UnusablePictureError("the file is too large")
    try:
        with Pillow.open(io.BytesIO(data), formats=FORMATS) as opened:
            # The header is read, the pixels are not: a bomb is refused before it unfolds.
            width, height = opened.size
            _check_size(width, height)
            png = _encoded(opened)
    except _UNDECODABLE as error:
        raise UnusablePictureError(f"the file cannot be decoded: {error}") from error
    if len(png) > BYTES_MAX:
        raise UnusablePictureError("the picture is too large")
    return Picture(png=png, width=width, height=height, sha256=hashlib.sha256(png).hexdigest())


def _check_size(width: int, height: int) -> None:
    sides_fit = min(width, height) >= SIDE_MIN_PX and max(width, height) <= SIDE_MAX_PX
    if not sides_fit or width * height > PIXELS_MAX:
        raise UnusablePictureError(f"{width} by {height} pixels")


def _encoded(opened: Pillow.Image) -> bytes:
    pixels = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
    pixels.info = {}  # colour profiles, texts and the like would be written out otherwise
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG")
    return buffer.getvalue()
