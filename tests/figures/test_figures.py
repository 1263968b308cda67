import numpy as np
import pytest

from keras_booth.figures import image_grid, loss_curves, rows_of
from keras_booth.figures.curves import read_log, smooth


def picture(color, size=(96, 96)):
    return np.full((*size, 3), color, "uint8")


class TestImageGrid:
    def test_a_row_for_each_caption(self):
        red, blue = (220, 20, 20), (20, 20, 220)
        sheet = image_grid([[picture(red)] * 3, [picture(blue)] * 2], ["red ones", "blue ones"], title="colors")
        pixels = np.asarray(sheet)
        rows_with = [np.flatnonzero((pixels == color).all(-1).any(1)) for color in (red, blue)]
        assert rows_with[0].max() < rows_with[1].min()
        assert [len(rows) for rows in rows_with] == [192, 192]  # enlarged to be seen
        assert (pixels == red).all(-1).sum() == 3 * 192 * 192
        assert (pixels < 100).all(-1).sum() > 300  # the captions

    def test_long_captions_fit(self):
        narrow = image_grid([[picture(0)]], ["word " * 30])
        short = image_grid([[picture(0)]], ["word"])
        assert narrow.width == short.width
        assert narrow.height > short.height + 100

    def test_an_empty_caption_takes_no_room(self):
        one = image_grid([[picture(0)]], [""])
        assert one.height < image_grid([[picture(0)]], ["word"]).height

    @pytest.mark.parametrize(
        "size, shown", [((96, 128), (192, 256)), ((150, 60), (300, 120)), ((1024, 512), (384, 192))]
    )
    def test_keeps_the_aspect_and_enlarges_by_whole_numbers(self, size, shown):
        pixels = np.asarray(image_grid([[picture((9, 200, 9), size)]], [""]))
        green = (pixels == (9, 200, 9)).all(-1)
        assert (green.any(1).sum(), green.any(0).sum()) == shown

    def test_texts_beneath_pictures(self):
        """Each as wide as its picture, and all pictures of a row in one line."""
        green, blue = (9, 200, 9), (20, 20, 220)
        row = [picture(green), picture(blue)]
        plain = image_grid([row, row], ["", ""])
        sheet = image_grid([row, row], ["", ""], beneath=[["word " * 12, "word"], []])
        assert sheet.width == plain.width and 50 < sheet.height - plain.height < 150
        pixels = np.asarray(sheet)
        places = [np.argwhere((pixels == color).all(-1)) for color in (green, blue)]
        assert len(places[0]) == len(places[1]) == 2 * 192 * 192
        assert places[0].min(0)[0] == places[1].min(0)[0]
        ink = np.argwhere((pixels < 100).all(-1))
        below = ink[(ink[:, 0] > places[0].min(0)[0] + 192) & (ink[:, 1] < places[0].max(0)[1])]
        assert len(below) and len(ink) > 2 * (len(ink) - len(below))

    def test_rows_of(self):
        assert [len(row) for row in rows_of(np.zeros((7, 2, 2, 3)), 4)] == [4, 3]


class TestLossCurves:
    def write(self, tmp_path, prior):
        lines = [f"{step},{1 / step},{0.5 / step},{prior}" for step in range(1, 101)]
        path = tmp_path / "log.csv"
        path.write_text("\n".join(["step,loss,instance_loss,prior_loss", *lines]))
        return path

    def test_both_losses_raw_and_smoothed(self, tmp_path):
        axes = loss_curves(self.write(tmp_path, 0.25)).axes[0]
        assert len(axes.lines) == 4
        np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.5 / np.arange(1, 101))
        assert "0.250 at the end" in axes.get_legend().get_texts()[1].get_text()

    @pytest.mark.parametrize("prior", ["0", ""])
    def test_no_prior(self, tmp_path, prior):
        assert len(loss_curves(self.write(tmp_path, prior)).axes[0].lines) == 2

    def test_an_empty_log(self, tmp_path):
        path = tmp_path / "log.csv"
        path.write_text("step,loss,instance_loss,prior_loss\n")
        loss_curves(path).savefig(tmp_path / "loss.png")

    def test_read_log(self, tmp_path):
        steps, losses = read_log(self.write(tmp_path, ""))
        assert steps[0] == 1
        assert np.isnan(losses["prior_loss"]).all()

    def test_smoothing_starts_at_the_first_value(self):
        np.testing.assert_allclose(smooth(np.full(50, 3.0)), 3.0)
        assert smooth(np.array([5.0, 1.0]))[0] == 5.0
