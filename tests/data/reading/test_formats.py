"""What telephones, scanners and editors give: other formats, very large pictures, files with much beside the pixels."""

import os
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from keras_booth.data import PhotoError, find_photos, inspect_photos, read_photo
from keras_booth.data.reading import colours, opening
from tests.helpers.photographs import ORIENTATIONS, linear_to_srgb, store_with_orientation

# How far a decoded picture of smooth colours may be from what was encoded.
NEAR = {"TIFF": 0, "AVIF": 6, "HEIF": 6}


def write(path, picture, format, **options):
    """Writes a picture as well as the format can; the test is skipped without the package for HEIC."""
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    quality = {"TIFF": {}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}, "HEIF": {"quality": 100, "chroma": 444}}
    Image.fromarray(picture).save(path, format, **quality[format], **options)
    return path


def quarters(size=16):
    """Six fields of different colours, 2 rows of 3."""
    fields = [[[250, 10, 10], [10, 250, 10], [10, 10, 250]], [[10, 10, 10], [128, 128, 128], [250, 250, 250]]]
    return np.array(fields, np.uint8).repeat(size, 0).repeat(size, 1)


class TestOtherFormats:
    @pytest.mark.parametrize("format", NEAR)
    def test_orientation_and_colours_as_seen(self, tmp_path, linear_rgb_profile, format):
        for orientation in ORIENTATIONS:
            exif = Image.Exif()
            exif[0x0112] = orientation
            stored = store_with_orientation(quarters(), orientation)
            path = write(tmp_path / "photo", stored, format, exif=exif.tobytes())
            photo = read_photo(path)
            assert photo.shape == quarters().shape
            np.testing.assert_allclose(photo.astype(int), quarters(), atol=NEAR[format])
        path = write(tmp_path / "photo", quarters(), format, icc_profile=linear_rgb_profile)
        np.testing.assert_allclose(read_photo(path), linear_to_srgb(quarters()), atol=3 + 3 * NEAR[format])

    def test_heic_under_any_name(self, tmp_path):
        for name in ("a.heic", "b.HEIF", "c.jpg", "without suffix"):
            write(tmp_path / name, quarters(), "HEIF")
        assert find_photos(tmp_path) == sorted(tmp_path.iterdir())
        for path in tmp_path.iterdir():
            np.testing.assert_allclose(read_photo(path).astype(int), quarters(), atol=6)

    def test_heic_without_the_package(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        assert find_photos(tmp_path) == [tmp_path / "a.heic"]
        with pytest.raises(PhotoError, match=r"in HEIC.*`pip install pillow-heif`, or save it as JPEG. Rec.*a.heic'$"):
            read_photo(tmp_path / "a.heic")

    def test_raw_files_are_no_photos(self, tmp_path):
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        Image.new("RGB", (8, 8)).save(tmp_path / "b.dng", "TIFF", tiffinfo={50706: b"\1\4\0\0"})
        assert find_photos(tmp_path) == [tmp_path / "a.png"]
        with pytest.raises(PhotoError, match="camera's raw file: save it as JPEG. Received: path='.*b.dng'"):
            read_photo(tmp_path / "b.dng")


class TestTiff:
    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
    def test_compressions(self, tmp_path, compression):
        Image.fromarray(quarters()).save(tmp_path / "a.tif", compression=compression)
        near = 40 if compression == "jpeg" else 0  # at the fields' borders
        np.testing.assert_allclose(read_photo(tmp_path / "a.tif").astype(int), quarters(), atol=near)

    def test_cmyk(self, tmp_path):
        Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.tif")
        np.testing.assert_array_equal(read_photo(tmp_path / "a.tif")[0, 0], (0, 255, 255))

    def test_first_page(self, tmp_path):
        pages = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        np.testing.assert_array_equal(read_photo(tmp_path / "a.tif"), np.full((8, 8, 3), (255, 0, 0)))

    @pytest.mark.parametrize("kind", ["16 bit", "white is zero", "12 bit", "float"])
    def test_deep_grey(self, tmp_path, kind):
        shade = np.linspace(0, 1, 256).reshape(16, 16)
        expected = np.round(255 * shade)
        if kind == "float":
            Image.fromarray(shade.astype("float32")).save(tmp_path / "a.tif")
        else:
            white = 4095 if kind == "12 bit" else 65535
            values = np.round((1 - shade if kind == "white is zero" else shade) * white).astype("<u2")
            (tmp_path / "a.tif").write_bytes(grey_tiff(values, 12 if kind == "12 bit" else 16, kind != "white is zero"))
        np.testing.assert_allclose(read_photo(tmp_path / "a.tif")[..., 0], expected, atol=1)

    def test_lab(self, tmp_path):
        Image.new("LAB", (8, 8), (255, 128, 128)).save(tmp_path / "lab.tif")
        np.testing.assert_allclose(read_photo(tmp_path / "lab.tif")[0, 0], (255, 255, 255), atol=3)

    def test_values_without_a_white(self, tmp_path):
        Image.fromarray(np.full((8, 8), 300.0, "float32")).save(tmp_path / "a.tif")
        with pytest.raises(PhotoError, match="values up to 300, of which the file does not say what is white: save it"):
            read_photo(tmp_path / "a.tif")


def grey_tiff(values, bits, black_is_zero):
    """A little-endian grey TIFF by hand, 12 bits packed."""
    height, width = values.shape
    if bits == 12:
        pairs = values.reshape(-1, 2).astype("uint32")
        packed = (pairs[:, 0] << 12) | pairs[:, 1]
        pixels = b"".join(int(number).to_bytes(3, "big") for number in packed)
    else:
        pixels = values.tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: int(black_is_zero), 273: 0, 277: 1, 278: height}
    tags |= {279: len(pixels), 339: 1}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + pixels


class TestSizes:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
    def test_very_large_ones_come_reduced(self, tmp_path, monkeypatch, format):
        """Limits of a ten-thousandth; Pillow's own, which is lower still, makes no warning."""
        monkeypatch.setattr(opening, "WHOLE_PIXELS", 6_400)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_000 if format == "TIFF" else 1_000)
        Image.fromarray(quarters(48)).save(tmp_path / "photo", format)  # 96 x 144 pixels
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            photo = read_photo(tmp_path / "photo")
        assert photo.shape == (48, 72, 3)
        np.testing.assert_allclose(photo[12::24, 12::24].astype(int), quarters(1), atol=4)
        assert inspect_photos([tmp_path / "photo"]).sizes == {tmp_path / "photo": (96, 144)}

    def test_limits(self, tmp_path):
        header = struct.pack(">IIBBBBB", 20000, 11000, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I4s", len(header), b"IHDR") + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        end = struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + end)
        with pytest.raises(PhotoError) as caught:
            read_photo(tmp_path / "a.png")
        assert str(caught.value) == (
            "The photo is too large, 20000 x 11000 pixels, where a PNG file may have 210 million: save it smaller, "
            f"4000 pixels on the long side are plenty. Received: path='{tmp_path / 'a.png'}'"
        )

    @pytest.mark.parametrize("size, fits", [((100, 2), True), ((102, 2), False), ((2, 102), False), ((51, 1), False)])
    def test_strips(self, tmp_path, size, fits):
        Image.new("RGB", size).save(tmp_path / "a.png")
        if fits:
            assert read_photo(tmp_path / "a.png").shape == (2, 100, 3)
            return
        with pytest.raises(PhotoError) as caught:
            read_photo(tmp_path / "a.png")
        assert str(caught.value) == (
            f"The photo is a strip, {size[0]} x {size[1]} pixels, where the long side may have 50 times the short one: "
            f"cut it. Received: path='{tmp_path / 'a.png'}'"
        )

    def test_a_large_file(self, tmp_path, monkeypatch, noise):
        Image.fromarray(noise).save(tmp_path / "a.png")
        monkeypatch.setattr(opening, "MOST_BYTES", 2048)
        with pytest.raises(PhotoError, match=r"The photo's file is larger than 2 KiB. Received: path="):
            read_photo(tmp_path / "a.png")

    @pytest.mark.parametrize(
        "kind", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "I;16", "F", "profile", "transparent"]
    )
    @pytest.mark.parametrize("whole", [10**9, 3000], ids=["whole", "reduced"])
    def test_in_parts_as_in_one(self, tmp_path, monkeypatch, noise, linear_rgb_profile, kind, whole):
        """A large picture is worked on in bands, which nobody can see."""
        path, options = tmp_path / ("a.tif" if kind in ("CMYK", "F", "I;16") else "a.png"), {}
        image = Image.fromarray(noise)
        if kind == "profile":
            options["icc_profile"] = linear_rgb_profile
        elif kind == "transparent":
            options["transparency"] = tuple(map(int, noise[20, 20]))
        elif kind in ("I;16", "F"):
            grey = noise[:, :, 0].astype("float32") / 255
            image = Image.fromarray(grey if kind == "F" else (grey * 65535).astype("uint16"))
        elif kind != "RGB":
            image = image.convert(kind)
        image.save(path, **options)
        monkeypatch.setattr(opening, "WHOLE_PIXELS", whole)
        expected = read_photo(path)
        monkeypatch.setattr(colours, "BAND_PIXELS", 64 * 8)
        np.testing.assert_array_equal(read_photo(path), expected)
        assert expected.shape == ((48, 64, 3) if whole > 3000 else (24, 32, 3))

    @pytest.mark.parametrize("kind", ["pipe", "zero"])
    def test_what_never_ends(self, tmp_path, kind):
        os.mkfifo(tmp_path / "a.jpg") if kind == "pipe" else (tmp_path / "a.jpg").symlink_to("/dev/zero")
        with pytest.raises(PhotoError, match="The photo cannot be read .*and no file.*: replace it"):
            read_photo(tmp_path / "a.jpg")


class TestPngChunks:
    @pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iTXt, compressed", "many"])
    def test_texts(self, tmp_path, noise, kind):
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Software", "kept")
        for index in range(40 if kind == "many" else 1):
            if kind.startswith("iTXt"):
                notes.add_itxt("history", "x" * 2_000_000, zip="compressed" in kind)
            else:
                notes.add_text(
                    f"history {index}", "x" * (2_000_000 if kind != "many" else 1_000_000), zip=kind != "tEXt"
                )
        exif = Image.Exif()
        exif[0x0112] = 3
        Image.fromarray(noise[::-1, ::-1]).save(tmp_path / "a.png", pnginfo=notes, exif=exif)
        np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), noise)

    def test_profile(self, tmp_path, linear_rgb_profile):
        """Padded to 3 MB, as those that hold large tables."""
        size = 3_000_000
        profile = struct.pack(">I", size) + linear_rgb_profile[4:].ljust(size - 4, b"\0")
        Image.fromarray(quarters()).save(tmp_path / "a.png", icc_profile=profile)
        np.testing.assert_allclose(read_photo(tmp_path / "a.png"), linear_to_srgb(quarters()), atol=3)
