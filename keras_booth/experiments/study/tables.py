"""What was measured of the method: of the base alone, and the paper's figure."""

from keras_booth.experiments.drawn import read_pictures
from keras_booth.experiments.study.drawing import BEFORE
from keras_booth.figures import image_grid

SHOWN = 4  # pictures of a row of the figure


def base_table(shares):
    """Markdown: what share of prompts the base follows, by attribute."""
    lines = ["| the base follows the prompt | right |", "|---|---|"]
    names = {name: name.replace("_noun", "").replace("_", " ") for name in shares}
    return "\n".join([*lines, *(f"| {names[name]} | {share:.3f} |" for name, share in shares.items())]) + "\n"


def figure(study, case, states, references):
    """The photographs; the subject in new settings; its class before and after training, as far as it was trained."""
    config = case.config(study.recipe)
    with_subject, _ = case.prompts.of(config.subject.identifier, case.class_noun)
    prompt, trained = config.subject.class_prompt, [state for state in states if state != BEFORE]
    learned = read_pictures(study.place(case, trained[-1]) / "subject")[:: study.count]
    rows = [references[:SHOWN], learned[:SHOWN]]
    captions = [f"{len(rows[0])} photographs", f"drawn after training {trained[-1]}"]
    for state in states:
        rows.append(read_pictures(study.place(case, state) / "class")[:SHOWN])
        captions.append(f"{prompt}: " + (state if state == BEFORE else f"after training {state}"))
    beneath = [[], with_subject[: len(rows[1])], *([] for _ in states)]
    return image_grid(rows, captions, beneath=beneath)
