"""Which files are photographs: by their names, and by how they begin."""

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from keras_booth.data.errors import PhotoError
from keras_booth.tools.files.reading import open_ordinary

KINDS = "JPEG, PNG, WebP, TIFF, AVIF, HEIC, BMP or GIF"
FORMAT_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
    ".png": "PNG",
    ".webp": "WebP",
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "GIF",
}
# The formats that any Pillow reads. A JPEG with more pictures behind the first is opened as one.
PILLOW = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
}
HEAD_BYTES = 64
BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # their sizes
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}


def is_photo(path):
    """Whether a file is named like a photograph, or begins like one."""
    # Hidden files come first: macOS leaves `._IMG_1.jpg` beside `IMG_1.jpg` on foreign disks, and it is no picture.
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix.lower() in FORMAT_OF_SUFFIX:
        return True
    try:
        found = format_of(read_head(path))
    except OSError:
        return False
    # Cameras' raw files (.dng, .nef ...) begin as TIFF does, and all that Pillow finds in them is a small preview.
    return found is not None and not (found == "TIFF" and path.suffix)


def read_head(path):
    """The bytes by which a file's format is told."""
    with open_ordinary(path) as file:
        return file.read(HEAD_BYTES) or b""


def format_of(head):
    """The name of a format, by the first bytes of a file; `None` for a file that is no photograph."""
    if head[:4] == b"RIFF":
        return "WebP" if head[8:12] == b"WEBP" else None
    if head[:2] == b"BM":  # two letters would also accept a caption about a BMW, so the header's size must be there
        return "BMP" if int.from_bytes(head[14:18], "little") in BMP_HEADERS else None
    if head[4:8] == b"ftyp":
        # The main brand, and those it is compatible with: AVIF may call itself "mif1" first.
        brands = {head[8:12], *(head[place : place + 4] for place in range(16, len(head), 4))}
        return "AVIF" if brands & AVIF_BRANDS else "HEIC" if brands & HEIC_BRANDS else None
    beginnings = {"JPEG": (b"\xff\xd8\xff",), "PNG": (b"\x89PNG\r\n\x1a\n",), "GIF": (b"GIF87a", b"GIF89a")}
    beginnings["TIFF"] = TIFF_HEADS
    return next((name for name, heads in beginnings.items() if head.startswith(heads)), None)


def opener_of(name, path):
    """The class of Pillow, or of its plugin, that opens a format.

    It is called itself: `PIL.Image.open` would hold the file against limits that are settings of the whole process.

    Raises:
        PhotoError: If this installation cannot read the format.
    """
    if name == "HEIC":
        try:
            from pillow_heif import HeifImageFile
        except ImportError as error:
            raise PhotoError(
                f"The photo is in HEIC, which needs one more package: `pip install pillow-heif`, or save it as JPEG. "
                f"Received: path='{path}'"
            ) from error
        return HeifImageFile
    if name == "AVIF":
        try:
            from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile
        except ImportError:
            SUPPORTED = False
        if not SUPPORTED:
            raise PhotoError(
                f"The photo is in AVIF, which needs Pillow 11.3: `pip install --upgrade pillow`, or save it as JPEG. "
                f"Received: path='{path}'"
            )
        return AvifImageFile
    return PILLOW[name]
