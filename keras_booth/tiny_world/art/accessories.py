"""What a subject of the tiny world may wear: a hat, a scarf or glasses, each of one fixed look."""

from dataclasses import dataclass

from keras_booth.tiny_world.art.canvas import Pen, box, oval, rounded, smooth

RED, SNOW = (226, 44, 62), (255, 248, 238)
GOLD, AMBER = (252, 208, 48), (232, 148, 30)
PINK, LENS = (255, 92, 172), (226, 244, 255)
PUPIL = (38, 30, 44)


@dataclass(frozen=True)
class Anchors:
    """Where the accessories of a subject go.

    Args:
        hat: Pen at the middle of the hat's brim; its unit is half the brim's width.
        eyes: Pen between the eyes; its unit is half the distance of the eyes.
        neck: Pen at the middle of the neck; its unit is half the neck's width.
        alive: Whether the subject has pupils to show behind glasses.
    """

    hat: Pen
    eyes: Pen
    neck: Pen
    alive: bool = False


def draw_accessory(name, anchors):
    """Draws the accessory `name` over a finished subject."""
    if name == "hat":
        draw_hat(anchors.hat)
    elif name == "scarf":
        draw_scarf(anchors.neck)
    elif name == "glasses":
        draw_glasses(anchors.eyes, anchors.alive)


def draw_hat(pen):
    """Draws a red bobble hat with a white brim."""
    dome = smooth(((-0.86, 0.05), (-0.78, -0.6), (-0.4, -1.12), (0.0, -1.25), (0.4, -1.12), (0.78, -0.6), (0.86, 0.05)))
    pen.part(oval(0, -1.4, 0.34, 0.34), SNOW, shade=0.12)
    pen.part(dome, RED, shade=0.16)
    pen.part(rounded(-1.0, -0.26, 1.0, 0.24, 0.22), SNOW, shade=0.1)


def draw_scarf(pen):
    """Draws a thick yellow scarf with a hanging tail."""
    tail = smooth(((0.28, 0.0), (0.72, 0.0), (0.82, 0.6), (0.84, 1.12), (0.36, 1.16), (0.34, 0.6)))
    pen.part(tail, GOLD, marks=(box(0.2, 0.72, 1, 0.92),), mark_color=AMBER)
    band = smooth(
        (
            (-1.06, -0.22),
            (-0.5, -0.12),
            (0.5, -0.12),
            (1.06, -0.22),
            (1.12, 0.16),
            (0.5, 0.36),
            (-0.5, 0.36),
            (-1.12, 0.16),
        )
    )
    pen.part(band, GOLD, shade=0.1)


def draw_glasses(pen, alive):
    """Draws large round pink glasses, with pupils behind them when the wearer is `alive`."""
    for side in (-1.02, 1.02):
        pen.disc(side, 0, 0.98, PINK, outline=True)
    pen.fill(box(-0.4, -0.2, 0.4, 0.2), PINK)
    for side in (-1.02, 1.02):
        pen.disc(side, 0, 0.66, LENS)
        if alive:
            pen.disc(side, 0.02, 0.36, PUPIL)
            pen.disc(side + 0.1, -0.12, 0.12, SNOW)
