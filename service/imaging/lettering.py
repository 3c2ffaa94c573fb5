"""Text over a picture, as a hole."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEADING = 2
"""Lines are this many times the size of the letters apart, so that something is left between them."""


def lettering(width: int, height: int, text: str, size: int) -> np.ndarray:
    """(H, W) bool, True where a letter is: `text` again and again, in lines whose letters are `size` pixels high."""
    page = Image.new("1", (width, height))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size)
    length = int(draw.textlength(text, font=font))
    line = text * (1 + width // length) if length else text  # letters without width are not repeated without end
    for top in range(0, height, LEADING * size):
        draw.text((0, top), line, fill=1, font=font)
    return np.asarray(page)
