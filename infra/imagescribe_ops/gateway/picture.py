"""Make a picture fit for a vision model: upright, small, in plain colours, and without anything but its pixels."""

import io
from threading import Lock

from PIL import Image, ImageCms, ImageOps

from imagescribe_ops.contract.picture import opened

_QUALITY = 90
_one_at_a_time = Lock()
_SRGB = ImageCms.createProfile("sRGB")


def rendition(content: bytes, max_side: int) -> bytes:
    """Give a picture as a JPEG of at most so many pixels a side.

    Nothing of the file's metadata is in it, such as where a photograph was taken; what of it shows is applied before:
    orientation and colour profile. What is transparent becomes white.

    Raises
    ------
    UndecodableError
        The bytes are not a whole JPEG, PNG or WebP, or hold more than 100 million pixels.
    """
    # Decoded, the largest picture takes 400 MB: a batch of such must not be decoded side by side.
    with _one_at_a_time, opened(content) as picture:
        profile = picture.info.get("icc_profile")
        # A JPEG can be decoded at a half or less of its size, which costs less time and memory.
        picture.draft(None, (max_side, max_side))
        # Sixteen bits of grey can't be scaled down as they are, and converting alone would clip them.
        small = picture.point(lambda grey: grey / 256).convert("L") if picture.mode[0] == "I" else picture
        if small.mode in ("P", "PA", "1"):
            small = small.convert("RGBA")
        small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        upright = _in_srgb(ImageOps.exif_transpose(small), profile)
        layer = upright.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        file = io.BytesIO()
        Image.alpha_composite(paper, layer).convert("RGB").save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Bring colours into sRGB, which is what a file without a profile is taken for."""
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(picture, io.BytesIO(profile), _SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # A profile that can't be used is no reason to refuse the picture.
    return converted or picture
