import itertools
import subprocess
import sys
import unicodedata

import pytest

from keras_booth.tools.errors import InputError
from keras_booth.workflow.files import check_writable, slug, stem, working_in, working_in_fresh


class TestWorkingInFresh:
    def test_never_mixes_runs(self, tmp_path):
        names = []
        for _ in range(3):
            with working_in_fresh(tmp_path / "runs" / "quick") as folder:
                (folder / "log.csv").write_text("")
            names.append(folder.name)
        assert names == ["quick", "quick-2", "quick-3"]

    def test_takes_an_empty_one_but_once(self, tmp_path):
        """As a mounted volume is; nothing was written between, as with two runs that start at once."""
        with working_in_fresh(tmp_path) as one, working_in_fresh(tmp_path) as two:
            assert [one, two] == [tmp_path, tmp_path.with_name(f"{tmp_path.name}-2")]
        assert not any(one.iterdir())

    def test_what_was_killed_before_it_was_a_run_is_nothing(self, tmp_path):
        (tmp_path / "run").mkdir()
        for name in (".lock", "photos.json", ".config.00000000-1-1-0.part.yaml"):
            (tmp_path / "run" / name).write_text("")
        with working_in_fresh(tmp_path / "run") as folder:
            assert folder.name == "run" and [path.name for path in folder.iterdir()] == [".lock"]

    def test_unless_it_is_at_work(self, tmp_path):
        (tmp_path / "run").mkdir()
        with working_in(tmp_path / "run", ""), working_in_fresh(tmp_path / "run") as folder:
            assert folder.name == "run-2"

    def test_a_file_is_in_the_way(self, tmp_path):
        (tmp_path / "run").write_text("")
        with working_in_fresh(tmp_path / "run") as folder:
            assert folder.name == "run-2"

    @pytest.mark.parametrize("path, name", [(".", "b-2"), ("..", "a-2"), ("./", "b-2"), ("c/..", "b-2")])
    def test_folders_whose_names_stand_elsewhere(self, tmp_path, monkeypatch, path, name):
        (tmp_path / "a" / "b" / "c").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "a" / "b")
        with working_in_fresh(path) as folder:
            assert folder.name == name

    def test_a_folder_without_a_name(self):
        with pytest.raises(InputError, match="taken, and has no name that a number could follow. Received: /"):
            with working_in_fresh("/"):
                pass

    def test_no_room_for_a_number(self, tmp_path):
        (tmp_path / ("x" * 255)).mkdir()
        (tmp_path / ("x" * 255) / "a").write_text("")
        with pytest.raises(InputError, match="taken, and has no room for a number in its name. Received: .*xxx$"):
            with working_in_fresh(tmp_path / ("x" * 255)):
                pass


class TestWorkingIn:
    def test_one_at_a_time(self, tmp_path):
        with working_in(tmp_path, "output.folder=run"):
            with pytest.raises(InputError, match="Another process is at work .*Received: --resume run"):
                with working_in(tmp_path, "--resume run"):
                    pass
        with working_in(tmp_path, "--resume run"):
            pass
        assert not any(tmp_path.iterdir())

    def test_a_process_that_was_killed_holds_nothing(self, tmp_path):
        code = "import sys, time, filelock; l = filelock.FileLock(sys.argv[1]); l.acquire(); print(1); time.sleep(60)"
        (tmp_path / "samples").mkdir()
        part = tmp_path / "samples" / ".a.00000000-1-1-0.part.png"
        part.write_text("")
        with subprocess.Popen([sys.executable, "-uc", code, tmp_path / ".lock"], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                with pytest.raises(InputError, match="Another process"), working_in(tmp_path, "--resume run"):
                    pass
            finally:
                process.kill()
        assert (tmp_path / ".lock").exists() and part.exists()
        with working_in(tmp_path, "--resume run"):
            assert not part.exists()


class TestCheckWritable:
    def test_makes_nothing(self, tmp_path):
        check_writable(tmp_path / "a" / "b", "output")
        assert not any(tmp_path.iterdir())

    @pytest.mark.parametrize("below", ["file", "file/a/b"])
    def test_a_file_is_no_folder(self, tmp_path, below):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="output must be a folder, but .*file is a file. Received: output="):
            check_writable(tmp_path / below, "output")

    def test_a_link_that_leads_nowhere(self, tmp_path):
        (tmp_path / "link").symlink_to("nowhere/x")
        with pytest.raises(InputError, match="output must be a folder, but .*link leads nowhere. Received: output="):
            check_writable(tmp_path / "link", "output")

    @pytest.mark.parametrize("name", ["x" * 256, "a\0b", "x" * 5000, "猴" * 90])
    def test_names_that_cannot_be(self, tmp_path, name):
        with pytest.raises(InputError, match="^output must .* Received: output="):
            check_writable(tmp_path / name, "output")


class TestSlug:
    def test_words(self):
        assert slug("A photo of sks dog, in the Snow!") == "a-photo-of-sks-dog-in-the-snow"
        assert slug("../..") == "picture"

    def test_long_texts_stay_apart(self):
        one, two = slug("very " * 40 + "red"), slug("very " * 40 + "blue")
        assert one != two
        assert len(one) <= 60

    def test_fits_on_any_disk(self):
        assert len(slug("𠀀" * 70).encode()) <= 120

    @pytest.mark.parametrize("name", ["con", "NUL", "Com1", "lpt9"])
    def test_devices_of_windows(self, name):
        assert slug(name) == f"{name.lower()}_"


class TestStem:
    def test_plain_words_stay_readable(self):
        assert stem("a photo of sks dog in the snow") == "a-photo-of-sks-dog-in-the-snow"

    def test_each_text_has_its_own(self):
        """Also on disks that know no upper case, and none of the ways to write an accent."""
        texts = [
            *(
                "a dog in the snow",
                "a dog, in the snow",
                "A DOG in the snow!",
                "a  dog in the snow",
                " a dog in the snow",
            ),
            *("a-dog-in-the-snow", "a_dog in the snow", "🐶", "🐱", "", "picture", "a.", "a", "a\n", "a\u00a0b", "a b"),
            *("hündchen", unicodedata.normalize("NFD", "hündchen"), "Hündchen", "ß", "ss", "ſs", "ﬁ", "fi", "İ", "i̇"),
            *("con", "con_", "very " * 40, "very " * 41, "k", "\u212a", "²", "2"),
        ]
        names = [stem(text) for text in texts]
        for one, two in itertools.combinations(range(len(texts)), 2):
            folded = [unicodedata.normalize("NFKC", names[place]).casefold() for place in (one, two)]
            assert folded[0] != folded[1], (texts[one], texts[two])

    def test_a_text_that_looks_like_the_name_of_another(self):
        name = stem("a dog!")
        assert stem(name.replace("-", " ")) != name
