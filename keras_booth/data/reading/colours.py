"""The pixels of any picture -> sRGB, 8 bits."""

import io

import numpy as np
from PIL import Image, ImageCms

from keras_booth.data.errors import PhotoError

# The Pillow mode in which an ICC profile expects its pixels.
MODE_OF_PROFILE = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
BITS_TAG, PHOTOMETRIC_TAG, WHITE_IS_ZERO = 258, 262, 0
MOST_FLOAT = 16.0
# Of a large picture the work is done on a part at a time: there are several copies of the part, some of them as floats.
BAND_PIXELS = 8_000_000


def to_srgb(image, path, times_smaller=1):
    """A loaded Pillow image as it is meant to be seen: mode RGB, sRGB, on white, its profile applied.

    Args:
        image: Pillow image.
        path: What is named in the error.
        times_smaller: Int, how many times smaller its sides are to become.

    Raises:
        PhotoError: For pixels that mean nothing by themselves.
    """
    tags = getattr(image, "tag_v2", {})
    if image.width * image.height <= BAND_PIXELS:
        return _reduced(_band_to_srgb(image, tags, path), times_smaller)
    # A multiple of 8, so that a picture that is reduced is cut where its pixels are.
    height = max(BAND_PIXELS // image.width // 8 * 8, 8)
    whole = Image.new("RGB", tuple(-(-side // times_smaller) for side in image.size))
    for top in range(0, image.height, height):
        band = image.crop((0, top, image.width, min(top + height, image.height)))
        whole.paste(_reduced(_band_to_srgb(band, tags, path), times_smaller), (0, top // times_smaller))
    return whole


def _reduced(image, times):
    return image.reduce(times) if times > 1 else image


def _band_to_srgb(image, tags, path):
    profile = image.info.get("icc_profile")
    image = _flatten(_eight_bits(image, tags, path))
    if profile:
        try:
            return _apply_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (ImageCms.PyCMSError, OSError, ValueError, ImportError):
            pass  # an invalid or unfitting profile: take the numbers for sRGB, as a browser does
    return image.convert("RGB")


def _eight_bits(image, tags, path):
    """Grey of more than 8 bits, and LAB, in 8 bits. Pillow's own `convert` clips at 255."""
    if image.mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.nan_to_num(np.asarray(image).astype("float32"))
    # Float pixels are 1 where it is white, and more in highlights.
    white = 1.0 if image.mode == "F" else 2.0 ** min(max(tags.get(BITS_TAG, (16,))), 16) - 1
    if values.max(initial=0) > (MOST_FLOAT if image.mode == "F" else white):
        raise PhotoError(
            f"The photo has values up to {values.max():g}, of which the file does not say what is white: save it with "
            f"8 or 16 bits. Received: path='{path}'"
        )
    values = np.round(np.clip(values / white, 0, 1) * 255).astype("uint8")
    # Pillow turns such pictures over when they have 8 bits or fewer.
    return Image.fromarray(255 - values if tags.get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO else values)


def _flatten(image):
    """Lays transparency on white and resolves palettes; the result is L, CMYK or RGB."""
    if image.mode == "CMYK":
        return image
    if image.mode == "La":
        image = image.convert("LA")
    opaque = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(opaque)


def _apply_profile(image, profile):
    mode = MODE_OF_PROFILE.get(profile.profile.xcolor_space)
    if (image.mode, mode) == ("L", "RGB"):  # editors leave an RGB profile in pictures that they turned grey
        image = image.convert("RGB")
    if image.mode != mode:
        raise ValueError("the profile describes other colours than the picture has")
    # Optimised, littlecms samples a grey curve so coarsely that shadows come out 10 levels off.
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB", flags=flags)
