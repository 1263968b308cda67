"""What is found out before anything heavy is done."""

import pytest

from keras_booth.bases import describe_base
from keras_booth.dreambooth import LoraConfig
from keras_booth.tools.errors import InputError
from keras_booth.workflow.parsing import parse_config
from keras_booth.workflow.subjects import fill_prompts
from keras_booth.workflow.training.beforehand import check_before, check_room, checkpoint_bytes
from tests.helpers.booths import small_booth
from tests.helpers.full_disk import small_disk

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog", "--base.weights", "null"]


def config(*flags):
    return fill_prompts(parse_config([*REQUIRED, *map(str, flags)]))


@pytest.mark.parametrize(
    "field, value, rule",
    [
        ("sampling.steps", 1001, "in [1, 1000], the timesteps of the base"),
        ("prior.steps", 5000, "in [1, 1000], the timesteps of the base"),
        ("sampling.count", 1001, "at most 1000"),
        ("training.steps", 10**30, "at most 1000000000"),
        ("training.seed", 2**31, "at most 2147483647"),
        ("sampling.seed", 2**63, "at most 9223372036854775807"),
        ("prior.count", 10**9, "at most 1000000"),
        ("training.learning_rate", "1e+30", "at most 1000"),
        ("training.noise_offset", "1e+30", "at most 10"),
        ("prior.loss_weight", "1e+300", "at most 1000000"),
        ("sampling.guidance_scale", "1e+300", "at most 3.4e+38"),
        ("lora.alpha", "1e+300", "at most 1000000"),
        ("lora.rank", 10**7, "at most 2048"),
    ],
)
def test_named_with_its_limit(field, value, rule):
    with pytest.raises(InputError) as caught:
        check_before(config(f"--{field}", value))
    assert str(caught.value) == f"{field} must be {rule}. Received: {field}={value}"


@pytest.mark.parametrize(
    "flags, received",
    [
        (
            ["--base.image_size", 2048, "--training.batch_size", 10000],
            "base.image_size=[2048, 2048], training.batch_size=10000",
        ),
        (
            ["--base.image_size", 1024, "--training.batch_size", 9999],
            "base.image_size=[1024, 1024], training.batch_size=9999",
        ),
    ],
)
def test_far_more_memory_than_there_is(flags, received):
    with pytest.raises(
        InputError, match=r"A step would need about [\d,]+ GB of memory, and this machine has \d"
    ) as caught:
        check_before(config(*flags))
    assert str(caught.value).endswith(f"Received: {received}")


def test_a_sheet_that_is_too_large():
    rule = "sampling.count must be at most 800 for 1 prompts of 512 x 512 pixels, which all come on one sheet"
    with pytest.raises(InputError, match=rule):
        check_before(config("--base.image_size", 512, "--sampling.count", 801))


def test_arguments_of_the_optimizer():
    """Before the base is made, and long before class images are drawn."""
    with pytest.raises(InputError, match="training.optimizer_arguments must be arguments of adamw"):
        check_before(config("--training.optimizer_arguments", "{zzz: 1}"))


def test_what_is_usual_passes():
    found = check_before(config("--sampling.steps", 1000, "--prior.steps", 1000, "--lora.rank", 128))
    assert found == describe_base("tiny_world", weights=None)[0]
    # Where none are drawn, it does not matter how.
    check_before(config("--prior.steps", 5000, "--prior.loss_weight", 0))


@pytest.fixture(scope="module")
def booth():
    return small_booth(lora=LoraConfig(rank=2))


class TestRoom:
    def test_the_numbers(self, tmp_path, booth):
        rank_2 = sum(variable.shape[0] * variable.shape[1] for variable in booth.trainable_variables)
        run = config("--lora.rank", 2, "--prior.loss_weight", 0)
        assert checkpoint_bytes(run, booth) == 4 * 3 * rank_2
        assert checkpoint_bytes(run.replace("training", optimizer="lion", ema_momentum=0.9), booth) == 4 * 3 * rank_2
        with small_disk(tmp_path / "disk", 1024) as disk:
            with pytest.raises(OSError, match=r"about [\d.]+ MB are needed .*the model [\d.]+ MB\), 1.0 MB are free"):
                check_room(run, booth, [None], disk.folder)
            disk.resize(100_000)
            check_room(run, booth, [None], disk.folder)
            many = run.replace("training", keep_last=10**9, checkpoint_every=1, steps=10**7)
            with pytest.raises(OSError, match=r"\(checkpoints [\d,.]+ GB, the model .*training.keep_last"):
                check_room(many, booth, [None], disk.folder)

    def test_class_images(self, tmp_path, booth, monkeypatch):
        run = config("--prior.count", 1_000_000)
        with small_disk(tmp_path / "disk", 1024) as disk:
            monkeypatch.setenv("KERAS_BOOTH_CACHE", str(disk.folder / "cache"))
            with pytest.raises(OSError, match="class images 1.5 GB.*set KERAS_BOOTH_CACHE to a folder with more"):
                check_room(run, booth, [None], tmp_path)
            check_room(run, booth, [object()], tmp_path)  # the user's own

    @pytest.mark.parametrize("name", ["file", "file/below"])
    def test_a_cache_that_is_none(self, tmp_path, booth, monkeypatch, name):
        (tmp_path / "file").write_text("")
        monkeypatch.setattr("keras_booth.dreambooth.prior.cache.cache_folder", lambda: tmp_path / name)
        with pytest.raises(InputError, match="The cache of class images must be a folder"):
            check_room(config(), booth, [None], tmp_path)
