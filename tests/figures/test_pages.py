"""A page holds all that it shows, and is legible in a browser."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from keras_booth.figures import Section, html_page, picture, sheet

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def page(tmp_path):
    """A page of everything, with a table and a sheet that are wider than a telephone."""
    Image.fromarray(np.full((200, 3000, 3), 90, "uint8")).save(tmp_path / "sheet.png")
    sections = [
        Section("Photographs", "Two of them.", [picture(np.zeros((40, 60, 3), "uint8"), f"{n}.jpg") for n in range(2)]),
        Section("Sheet", pictures=[sheet(tmp_path / "sheet.png")], wide=True),
        Section("Scores", heads=["", *(f"score {n}" for n in range(12))], rows=[["model", *["0.912 (0.9 to 1)"] * 12]]),
        Section("To repeat it", code="python -m keras_booth.train --config config.yaml " + "--very.long flag " * 12),
        Section("Empty"),
    ]
    return html_page("sks dog <script>alert(1)</script>", sections, "A lead & more")


class TestPage:
    def test_needs_nothing_from_outside(self, page):
        addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert len(addresses) == 3 and all(address.startswith("data:image/") for address in addresses)
        assert "<script" not in page and "@import" not in page and "url(" not in page

    def test_what_users_write_is_text(self, page):
        assert "sks dog &lt;script&gt;" in page and "A lead &amp; more" in page

    def test_what_is_empty_is_left_out(self, page):
        assert "Empty" not in page and page.count("<section>") == 4

    def test_pictures_keep_their_shape(self):
        large = picture(np.zeros((1000, 2000, 3), "uint8"))
        assert (large.width, large.height) == (512, 256)


@pytest.mark.large
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
class TestBrowser:
    @pytest.fixture
    def browse(self, page, tmp_path):
        """Opens the page in a window of some width, light or dark; returns what a script sees in it."""

        def open_page(width, script, dark=False):
            path = tmp_path / "page.html"
            path.write_text(page.replace("</body>", f"<script>document.title = String({script})</script></body>"))
            flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom"]
            flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
            done = subprocess.run([CHROMIUM, *flags, path.as_uri()], capture_output=True, text=True, timeout=120)
            return re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[1]

        return open_page

    def test_pictures_and_table_are_there(self, browse):
        loaded = browse(1280, "[...document.images].filter(i => i.complete && i.naturalWidth > 0).length")
        assert loaded == "3"
        assert browse(1280, "document.querySelectorAll('tbody td').length") == "12"

    @pytest.mark.parametrize("width", [500, 1280])
    def test_nothing_is_wider_than_the_window(self, browse, width):
        """Wide tables and lines scroll by themselves."""
        assert browse(width, "document.documentElement.scrollWidth <= window.innerWidth") == "true"
        assert browse(width, "parseFloat(getComputedStyle(document.body).fontSize) >= 16") == "true"

    def test_dark_where_the_reader_is(self, browse):
        color = "getComputedStyle(document.body).backgroundColor"
        assert browse(1280, color) == "rgb(255, 255, 255)"
        assert browse(1280, color, dark=True) == "rgb(21, 24, 29)"
