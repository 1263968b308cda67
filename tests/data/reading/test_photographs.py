import logging

import numpy as np
import pytest
from PIL import Image

from keras_booth.data import PhotoError, find_photos, read_photo
from tests.helpers.photographs import ORIENTATIONS, linear_to_srgb, store_with_orientation, write_png16

LOSSLESS = {"PNG": {}, "BMP": {}, "WEBP": {"lossless": True}}
FORMATS = {"JPEG": {"quality": 95}, "GIF": {}, **LOSSLESS}


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_come_back_exactly(tmp_path, noise, format):
    Image.fromarray(noise).save(tmp_path / "photo", format, **LOSSLESS[format])
    photo = read_photo(tmp_path / "photo")
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, noise)


def test_jpeg_comes_back_nearly(tmp_path):
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (64, 48, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "photo.jpg", quality=95)
    assert np.abs(read_photo(tmp_path / "photo.jpg").astype(int) - ramp).max() <= 2


def test_gif_palette(tmp_path):
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    photo = colors[np.random.default_rng(0).integers(0, 4, (20, 30))]
    Image.fromarray(photo).quantize(4, dither=Image.Dither.NONE).save(tmp_path / "photo.gif")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.gif"), photo)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(tmp_path, format):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "lime")]
    path = tmp_path / "photo"
    frames[0].save(path, format, save_all=True, append_images=frames[1:], duration=100, **LOSSLESS.get(format, {}))
    np.testing.assert_array_equal(read_photo(path), np.full((8, 8, 3), (255, 0, 0)))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_orientation(tmp_path, noise, format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(store_with_orientation(noise, orientation))
    stored.save(tmp_path / "photo", format, exif=exif, **LOSSLESS[format])
    np.testing.assert_array_equal(read_photo(tmp_path / "photo"), noise)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_of_a_jpeg(tmp_path, orientation):
    quarters = np.array([[[250, 10, 10], [10, 250, 10], [10, 10, 250]], [[10, 10, 10], [128, 128, 128], [250] * 3]])
    upright = quarters.repeat(16, 0).repeat(16, 1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(store_with_orientation(upright, orientation))
    stored.save(tmp_path / "photo.jpg", quality=100, subsampling=0, exif=exif)
    photo = read_photo(tmp_path / "photo.jpg")
    assert photo.shape == upright.shape
    assert np.abs(photo.astype(int) - upright).max() <= 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12", b"Exif\0\0rubbish", b"Exif\0\0"])
def test_damaged_or_unknown_orientation_is_upright(tmp_path, noise, exif):
    Image.fromarray(noise).save(tmp_path / "photo.jpg", exif=exif)
    assert read_photo(tmp_path / "photo.jpg").shape == noise.shape


def test_alpha_is_laid_on_white(tmp_path):
    alpha = np.array([[0, 51, 102, 255]], np.uint8)
    Image.fromarray(np.dstack([np.full((1, 4, 3), 100, np.uint8), alpha])).save(tmp_path / "photo.png")
    expected = np.round(255 + (100 - 255) * (alpha / 255.0))
    np.testing.assert_allclose(read_photo(tmp_path / "photo.png"), expected[..., None].repeat(3, -1), atol=1)


def test_grey_with_alpha(tmp_path):
    Image.fromarray(np.array([[[0, 255], [0, 0], [80, 255]]], np.uint8), "LA").save(tmp_path / "photo.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[0, :, 0], [0, 255, 80])


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(tmp_path, format):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([200, 0, 0, 0, 0, 200])
    picture.putpixel((0, 0), 0)
    picture.save(tmp_path / "photo", format, transparency=0)
    photo = read_photo(tmp_path / "photo")
    assert tuple(photo[0, 0]) == (255, 255, 255)
    assert tuple(photo[1, 1]) == (0, 0, 200)


@pytest.mark.parametrize("mode, key", [("L", 7), ("RGB", (7, 7, 7))])
def test_transparent_color_is_white(tmp_path, mode, key):
    picture = Image.new(mode, (2, 1), key)
    picture.putpixel((1, 0), 90 if mode == "L" else (90, 90, 90))
    picture.save(tmp_path / "photo.png", transparency=key)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[0, :, 0], [255, 90])


@pytest.mark.parametrize("format", ["PNG", "BMP"])
@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_one_bit(tmp_path, format, mode):
    values = np.array([[0, 255, 255], [255, 0, 0]], np.uint8)
    Image.fromarray(values).convert(mode).save(tmp_path / "photo", format)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo"), values[..., None].repeat(3, -1))


def test_cmyk(tmp_path):
    inks = {(255, 0, 0, 0): (0, 255, 255), (0, 255, 0, 0): (255, 0, 255), (0, 0, 0, 255): (0, 0, 0)}
    for number, (ink, color) in enumerate(inks.items()):
        Image.new("CMYK", (16, 16), ink).save(tmp_path / f"{number}.jpg", quality=100)
        assert np.abs(read_photo(tmp_path / f"{number}.jpg").astype(int) - color).max() <= 3


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_not_clipped(tmp_path, channels):
    values = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, -1, 1).repeat(channels, -1)
    photo = read_photo(write_png16(tmp_path / "photo.png", values))
    # Pillow itself drops the low byte of 16-bit colour, which is at most one level off.
    np.testing.assert_allclose(photo, np.round(values / 257.0) * np.ones(3), atol=0 if channels == 1 else 1)


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bits_with_alpha(tmp_path, channels):
    values = np.full((1, 2, channels), 65535 // 2, np.uint16)
    values[0, :, -1] = 0, 65535
    photo = read_photo(write_png16(tmp_path / "photo.png", values))
    np.testing.assert_allclose(photo[0, :, 0], [255, 127], atol=1)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_rgb_profile_becomes_srgb(tmp_path, linear_rgb_profile, mode):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).convert(mode).save(tmp_path / "photo.png", icc_profile=linear_rgb_profile)
    photo = read_photo(tmp_path / "photo.png")
    np.testing.assert_allclose(photo, linear_to_srgb(values)[..., None].repeat(3, -1), atol=3)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profile_becomes_srgb(tmp_path, linear_gray_profile, mode):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).convert(mode).save(tmp_path / "photo.png", icc_profile=linear_gray_profile)
    np.testing.assert_allclose(read_photo(tmp_path / "photo.png")[..., 1], linear_to_srgb(values), atol=3)


@pytest.mark.parametrize("profile", ["rubbish", "grey"])
def test_unfitting_profile_is_ignored(tmp_path, noise, linear_gray_profile, profile):
    profile = linear_gray_profile if profile == "grey" else b"no profile at all"
    Image.fromarray(noise).save(tmp_path / "photo.png", icc_profile=profile)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png"), noise)


def test_cmyk_with_an_rgb_profile(tmp_path, linear_rgb_profile):
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(
        tmp_path / "photo.jpg", quality=100, icc_profile=linear_rgb_profile
    )
    assert np.abs(read_photo(tmp_path / "photo.jpg").astype(int) - (0, 255, 255)).max() <= 3


@pytest.mark.parametrize("format", [*FORMATS, "TIFF", "AVIF"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_photo(tmp_path, noise, format, share):
    path = tmp_path / "broken.photo"
    Image.fromarray(noise).save(path, format, **FORMATS.get(format, {}))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(PhotoError, match=r"^The photo cannot be read \(.+\): replace it .* Received: path='.*broken"):
        read_photo(path)


def test_text_named_photo(tmp_path):
    (tmp_path / "photo.jpg").write_text("<html>404 not found</html>")
    with pytest.raises(
        PhotoError, match=r"not a JPEG, PNG, WebP, TIFF, AVIF, HEIC, BMP or GIF.*Received: path='.*photo.jpg'"
    ):
        read_photo(tmp_path / "photo.jpg")


def test_missing_photo(tmp_path):
    with pytest.raises(PhotoError, match="No such file"):
        read_photo(tmp_path / "photo.jpg")


def test_find_by_name_or_by_content(tmp_path, noise):
    photo = Image.fromarray(noise)
    names = ["e.JPG", "a.jpeg", "c.PnG", "d.webp", "b.gif", "f.bmp"]
    for name in names:
        photo.save(tmp_path / name)
    for format in (*FORMATS, "TIFF", "AVIF"):
        photo.save(tmp_path / f"z without suffix {format}", format)
    found = find_photos(tmp_path)
    assert found == sorted(tmp_path.iterdir())
    assert len(found) == len(names) + len(FORMATS) + 2
    assert find_photos(str(tmp_path)) == found


def test_stray_files_are_ignored_with_one_notice(tmp_path, noise, caplog):
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    strays = [".DS_Store", "._a.jpg", "Thumbs.db", "b.txt", "bmw.txt", "desktop.ini", "from_camera.dng"]
    for name in strays:
        (tmp_path / name).write_text("BMW on a street, seen from far away" if name == "bmw.txt" else "stray")
    for name in (".ipynb_checkpoints", "more.jpg"):
        (tmp_path / name).mkdir()
        Image.fromarray(noise).save(tmp_path / name / "b.jpg")
    with caplog.at_level(logging.WARNING, logger="keras_booth"):
        assert find_photos(tmp_path) == [tmp_path / "a.jpg"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(tmp_path) in record.getMessage()
    assert "a.txt" not in record.getMessage()
    assert "and 1 more" in record.getMessage()  # nine strays, of which eight are named
    for name in sorted([*strays, ".ipynb_checkpoints", "more.jpg"])[:8]:
        assert name in record.getMessage()


def test_no_notice_without_stray_files(tmp_path, noise, caplog):
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    find_photos(tmp_path)
    assert not caplog.records


def test_folder_errors(tmp_path):
    with pytest.raises(PhotoError, match=r"does not exist: .* Received: folder='.*nowhere'$"):
        find_photos(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhotoError, match=r"no photo in the folder: .* Received: folder='.*empty', which is empty$"):
        find_photos(tmp_path / "empty")
    (tmp_path / "empty" / "notes.txt").write_text("text")
    with pytest.raises(PhotoError, match=r"no photo in the folder: .* which holds only notes.txt$"):
        find_photos(tmp_path / "empty")
    with pytest.raises(PhotoError, match=r"is a file: .* Received: folder='.*notes.txt'$"):
        find_photos(tmp_path / "empty" / "notes.txt")


def test_real_photographs(photographs):
    for folder in sorted(path for path in photographs.iterdir() if path.is_dir()):
        photos = find_photos(folder)
        assert 4 <= len(photos) <= 6
        photo = read_photo(photos[0])
        # They carry an sRGB profile, which must not move colours by more than rounding does.
        plain = np.asarray(Image.open(photos[0]).convert("RGB"), int)
        assert photo.shape == plain.shape
        assert np.abs(photo - plain).max() <= 2
