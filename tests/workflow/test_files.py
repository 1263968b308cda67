import pytest

from keras_booth.workflow.files import check_writable, fresh_folder, slug


class TestFreshFolder:
    def test_never_mixes_runs(self, tmp_path):
        names = []
        for _ in range(3):
            folder = fresh_folder(tmp_path / "runs" / "quick")
            (folder / "log.csv").write_text("")
            names.append(folder.name)
        assert names == ["quick", "quick-2", "quick-3"]

    def test_takes_an_empty_one(self, tmp_path):
        assert fresh_folder(tmp_path) == tmp_path


class TestCheckWritable:
    def test_makes_nothing(self, tmp_path):
        check_writable(tmp_path / "a" / "b", "output")
        assert not any(tmp_path.iterdir())

    @pytest.mark.parametrize("below", ["file", "file/a/b"])
    def test_a_file_is_no_folder(self, tmp_path, below):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="output must be a folder, but .*file is a file. Received: output="):
            check_writable(tmp_path / below, "output")


class TestSlug:
    def test_words(self):
        assert slug("A photo of sks dog, in the Snow!") == "a-photo-of-sks-dog-in-the-snow"
        assert slug("../..") == "picture"

    def test_long_texts_stay_apart(self):
        one, two = slug("very " * 40 + "red"), slug("very " * 40 + "blue")
        assert one != two
        assert len(one) <= 60
