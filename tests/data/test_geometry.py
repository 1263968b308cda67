import numpy as np
import pytest

from keras_booth.data import read_photo
from keras_booth.data.geometry import center_crop, cut, flip_left_right, random_corner, resize_short_side


def box_average(image, factor):
    height, width, channels = image.shape
    return image.reshape(height // factor, factor, width // factor, factor, channels).mean((1, 3))


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_fine_pattern_is_averaged_not_aliased(factor):
    y, x = np.mgrid[:256, :384]
    pattern = 64 * ((x + y) % 2) + 0.3 * y + 0.2 * x  # a checkerboard of single pixels on a slope
    image = pattern.astype(np.uint8)[..., None].repeat(3, -1)
    small = resize_short_side(image, 256 // factor)
    inner = (slice(2, -2), slice(2, -2))  # at the border the filter sees one side only
    np.testing.assert_allclose(small[inner], box_average(image, factor)[inner], atol=3)


def test_downsizing_a_photograph_is_near_its_box_average(photographs):
    photo = read_photo(photographs / "backpack" / "02.jpg")
    assert photo.shape == (1280, 1280, 3)
    difference = resize_short_side(photo, 160) - box_average(photo, 8)
    taken = photo[4::8, 4::8] - box_average(photo, 8)  # what a resize without antialias would give
    assert np.abs(difference).mean() < 2.5
    assert np.abs(difference).mean() < np.abs(taken).mean() / 3


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (64, 64), (33, 1000), (10, 17), (500, 501)])
def test_short_side_fits_and_aspect_stays(shape):
    image = np.zeros((*shape, 3), np.uint8)
    resized = resize_short_side(image, 64)
    assert min(resized.shape[:2]) == 64
    scale = 64 / min(shape)
    np.testing.assert_allclose(resized.shape[:2], np.array(shape) * scale, atol=0.5)


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (64, 96), (97, 61)])
@pytest.mark.parametrize("size", [(64, 96), (96, 64), (32, 128)])
def test_a_pair_is_covered_and_one_side_fits(shape, size):
    resized = np.array(resize_short_side(np.zeros((*shape, 3), np.uint8), size).shape[:2])
    assert (resized >= size).all() and (resized == size).any()
    assert abs(resized[0] / resized[1] - shape[0] / shape[1]) < 0.6 * (1 + shape[0] / shape[1]) / resized[1]


def test_a_circle_stays_a_circle():
    y, x = np.mgrid[:200, :320]
    image = (255 * ((y - 100) ** 2 + (x - 160) ** 2 < 80**2)).astype(np.uint8)[..., None].repeat(3, -1)
    crop = center_crop(resize_short_side(image, 50), 50)[..., 0] > 127
    assert crop.any(0).sum() == crop.any(1).sum() == 40


def test_right_size_is_left_alone(noise):
    assert resize_short_side(noise, 48) is noise


def test_center_crop(noise):
    np.testing.assert_array_equal(center_crop(noise, 48), noise[:, 8:56])
    np.testing.assert_array_equal(center_crop(noise, (20, 31)), noise[14:34, 16:47])


def test_random_crop_reaches_every_place_and_no_other(noise):
    rng = np.random.default_rng(0)
    image = noise[:4, :7]
    crops = {cut(image, 4, random_corner(image.shape, 4, rng)).tobytes() for _ in range(100)}
    assert crops == {image[:, left : left + 4].tobytes() for left in range(4)}


def test_flip(noise):
    np.testing.assert_array_equal(flip_left_right(noise)[:, 0], noise[:, -1])
    np.testing.assert_array_equal(flip_left_right(flip_left_right(noise)), noise)
