import gzip
import itertools
import re

import numpy as np
import pytest
from keras_cv.src.models.stable_diffusion.clip_tokenizer import SimpleTokenizer

from keras_booth.tiny_world import vocabulary
from keras_booth.tiny_world.scenes import (
    ATTRIBUTES,
    Look,
    Scene,
    caption,
    labels,
    random_caption,
    random_look,
    random_scene,
    render,
)

LOOK = Look("dog", "orange", "white", "spotted", "hat")
SCENE = Scene(LOOK, "in the snow", seed=3)
GRAMMAR = re.compile(
    "a photo of (a|an) "
    "(?:(?P<main>{color})(?: and (?P<also>{color}))? )?(?P<noun>{noun})"
    "(?: with (?P<second>{color}) (?P<pattern>stripes|spots))?"
    "(?: wearing (?P<accessory>a hat|a scarf|glasses))?"
    "(?: (?P<setting>{setting}))?".format(
        color="|".join(ATTRIBUTES["main_color"]),
        noun="|".join(ATTRIBUTES["class_noun"]),
        setting="|".join(ATTRIBUTES["setting"]),
    )
)


def scene_of(**changes):
    fields = {"class_noun": "cat", "main_color": "green", "second_color": "white", "pattern": "plain"}
    fields |= {"accessory": "none", "setting": "on the beach"} | changes
    setting = fields.pop("setting")
    return Scene(Look(**fields), setting, seed=0)


def test_same_scene_same_pixels():
    first, second = render(SCENE), render(Scene(LOOK, "in the snow", seed=3))
    assert first.shape == (128, 128, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, render(Scene(LOOK, "in the snow", seed=4)))


def test_draws_follow_the_seed_and_fixed_fields():
    draws = [[random_scene(np.random.default_rng(seed)) for _ in range(3)] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    rng = np.random.default_rng(0)
    for _ in range(50):
        scene = random_scene(rng, class_noun="dog", second_color="red", setting="in the jungle")
        assert (scene.look.class_noun, scene.look.second_color) == ("dog", "red")
        assert scene.setting == "in the jungle" and scene.look.main_color != "red"
    assert random_scene(rng, look=LOOK).look is LOOK
    with pytest.raises(ValueError, match="Received: {'pattern': 'plain'}"):
        random_scene(rng, look=LOOK, pattern="plain")


def test_draws_cover_every_value():
    rng = np.random.default_rng(0)
    drawn = [labels(random_scene(rng)) for _ in range(1500)]
    for name, values in ATTRIBUTES.items():
        assert {row[name] for row in drawn} == set(range(len(values)))
    assert 0.35 < np.mean([row["accessory"] == 0 for row in drawn]) < 0.45


def test_a_larger_render_shows_the_same_scene():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scene = random_scene(rng)
        reduced = render(scene, 256).reshape(128, 2, 128, 2, 3).mean((1, 3))
        assert np.abs(reduced - render(scene)).mean() < 3.0


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_looks_different(attribute):
    values = [value for value in ATTRIBUTES[attribute]]
    if attribute.endswith("color"):
        values = [value for value in values if value not in ("green", "white")]
    pictures = [render(scene_of(**{attribute: value})).astype(float) for value in values]
    for one, other in itertools.combinations(pictures, 2):
        assert (np.abs(one - other).max(-1) > 24).mean() > 0.01


def test_proportions_change_the_picture():
    for field in ("girth", "head"):
        slim, wide = (render(scene_of(**{field: value})).astype(int) for value in (-1, 1))
        assert (np.abs(slim - wide).max(-1) > 24).mean() > 0.01


def test_caption():
    assert caption(SCENE) == "a photo of an orange dog with white spots wearing a hat in the snow"
    assert caption(SCENE, ()) == "a photo of a dog"
    assert caption(SCENE, ("pattern", "setting")) == "a photo of a dog with white spots in the snow"
    glasses = scene_of(accessory="glasses")
    assert caption(glasses) == "a photo of a green and white cat wearing glasses on the beach"
    assert caption(glasses, ("color",)) == "a photo of a green cat"
    assert caption(glasses, ("pattern",)) == "a photo of a cat"
    assert caption(scene_of(class_noun="boot", main_color="orange"), ("color",)) == "a photo of an orange boot"


def test_random_captions_say_nothing_but_the_truth():
    rng = np.random.default_rng(0)
    said = []
    for _ in range(500):
        scene = random_scene(rng)
        text = random_caption(scene, rng)
        words = GRAMMAR.fullmatch(text)
        assert words, text
        look = scene.look
        assert words["noun"] == look.class_noun
        assert words["main"] in (None, look.main_color)
        assert {words["also"], words["second"]} <= {None, look.second_color}
        assert words["pattern"] in (None, {"plain": None, "striped": "stripes", "spotted": "spots"}[look.pattern])
        assert words["accessory"] is None or words["accessory"].endswith(look.accessory)
        assert words["setting"] in (None, scene.setting)
        article, following = text.split()[3:5]
        assert (article == "an") == (following[0] in "aeiou")
        said.append((words["main"] is not None, words["setting"] is not None))
    np.testing.assert_allclose(np.mean(said, axis=0), (0.7, 0.8), atol=0.06)


def test_labels():
    found = {name: ATTRIBUTES[name][index] for name, index in labels(SCENE).items()}
    assert found.pop("setting") == "in the snow"
    assert found == {name: getattr(LOOK, name) for name in found} and len(found) == 5


@pytest.mark.parametrize(
    "changes",
    [{"class_noun": "cow"}, {"second_color": "green"}, {"girth": 2.0}, {"setting": "in space"}],
)
def test_bad_values(changes):
    with pytest.raises(ValueError, match="Received: .*"):
        scene_of(**changes)


def test_vocabulary_file_is_up_to_date():
    assert gzip.decompress(vocabulary.VOCABULARY.read_bytes()).decode() == vocabulary.vocabulary_text()


def test_written_vocabulary_is_deterministic(tmp_path):
    vocabulary.write_vocabulary(tmp_path / "one.gz")
    vocabulary.write_vocabulary(tmp_path / "two.gz")
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_every_word_is_one_token_of_its_own():
    tokenizer = SimpleTokenizer(bpe_path=str(vocabulary.VOCABULARY))
    words = vocabulary.WORDS + vocabulary.RARE_IDENTIFIERS
    assert len(set(words)) == len(words)
    tokens = [tokenizer.encode(word)[1:-1] for word in words]
    assert all(len(ids) == 1 for ids in tokens)
    assert len({ids[0] for ids in tokens}) == len(words)
    assert len(tokenizer.encoder) == len(tokenizer.vocab)


def test_captions_take_one_token_a_word():
    tokenizer = SimpleTokenizer(bpe_path=str(vocabulary.VOCABULARY))
    rng = np.random.default_rng(0)
    for _ in range(200):
        text = caption(random_scene(rng))
        assert len(tokenizer.encode(text)) == len(text.split()) + 2
        assert tokenizer.decode(tokenizer.encode(text)[1:-1]).strip() == text
    assert len(tokenizer.encode("Zürich’s zebra")) > 4  # other words fall into pieces


def test_random_look_is_valid():
    rng = np.random.default_rng(0)
    for _ in range(100):
        look = random_look(rng, girth=0.5)
        assert look.girth == 0.5 and look.main_color != look.second_color
