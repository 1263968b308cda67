"""The ten classes of subject of the tiny world, each drawn by one function from a `Look`.

Longer than other files, because it is a list: ten drawings that share a few helpers, and nothing else.
"""

from keras_booth.tiny_world.art.accessories import PUPIL, Anchors
from keras_booth.tiny_world.art.canvas import box, mix, oval, rounded, smooth

COLORS = {
    "red": (212, 36, 44),
    "orange": (252, 138, 28),
    "yellow": (255, 216, 48),
    "green": (54, 160, 68),
    "blue": (36, 98, 214),
    "purple": (154, 74, 200),
    "white": (250, 246, 236),
    "black": (56, 54, 64),
}
CREAM, BEAK, BLUSH, GLASS, RUBBER = (255, 252, 244), (255, 160, 30), (250, 130, 140), (196, 228, 244), (56, 52, 60)

DOTS = ((0.2, 0.26), (0.52, 0.18), (0.83, 0.3), (0.34, 0.68), (0.68, 0.72))


def marks_of(pattern, bounds, upright=True, radius=0.15, dots=DOTS):
    """Returns the polygons of a pattern on the part that fills `bounds`.

    Args:
        pattern: `"plain"`, `"striped"` or `"spotted"`.
        bounds: `(x0, y0, x1, y1)` of the part.
        upright: Whether the stripes run up and down.
        radius: Radius of a spot.
        dots: Places of the spots, as fractions of the bounds.
    """
    x0, y0, x1, y1 = bounds
    width, height = x1 - x0, y1 - y0
    if pattern == "spotted":
        return [oval(x0 + u * width, y0 + v * height, radius, radius) for u, v in dots]
    if pattern == "striped" and upright:
        return [box(x0 + (u - 0.07) * width, y0, x0 + (u + 0.07) * width, y1) for u in (0.14, 0.38, 0.62, 0.86)]
    if pattern == "striped":
        return [box(x0, y0 + (v - 0.085) * height, x1, y0 + (v + 0.085) * height) for v in (0.2, 0.52, 0.84)]
    return []


def draw_subject(pen, look):
    """Draws a subject that stands on the pen's origin and is about two units high.

    Args:
        pen: `Pen` with its origin on the ground; the subject reaches up to y = -2.
        look: The `Look` of the subject.

    Returns:
        The `Anchors` of its accessories.
    """
    main, second = COLORS[look.main_color], COLORS[look.second_color]
    pen = pen.at(0, 0, width=1 + 0.12 * look.girth)
    return DRAWERS[look.class_noun](pen, main, second, look.pattern, 1 + 0.12 * look.head)


def draw_eyes(pen, radius=0.6):
    """Draws two friendly eyes one unit to the left and right of the pen."""
    for side in (-1, 1):
        pen.disc(side, 0, radius, CREAM, outline=True)
        pen.disc(side, 0.04 * radius, 0.76 * radius, PUPIL)
        pen.disc(side + 0.22 * radius, -0.24 * radius, 0.3 * radius, CREAM)


def draw_snout(pen, color, rx, ry):
    """Draws a muzzle with a nose and a smile around the pen."""
    ink = PUPIL if sum(color) > 300 else (240, 160, 170)
    pen.part(oval(0, 0, rx, ry), color)
    pen.fill(oval(0, -0.45 * ry, 0.3 * rx, 0.26 * ry), ink)
    pen.stroke(
        smooth(((-0.4 * rx, 0.22 * ry), (-0.18 * rx, 0.45 * ry), (0.0, 0.22 * ry)), closed=False),
        0.035,
        ink,
        outline=False,
    )
    pen.stroke(
        smooth(((0.4 * rx, 0.22 * ry), (0.18 * rx, 0.45 * ry), (0.0, 0.22 * ry)), closed=False),
        0.035,
        ink,
        outline=False,
    )


def draw_dog(pen, main, second, pattern, head_size):
    """Draws a standing dog with floppy ears."""
    pen.stroke(smooth(((0.85, -0.9), (1.05, -1.15), (1.08, -1.45)), closed=False), 0.17, main)
    pen.stroke(((1.075, -1.38), (1.08, -1.47)), 0.17, second)
    for x, tone in ((0.45, 0.22), (-0.12, 0.22), (0.78, 0), (-0.45, 0)):
        pen.stroke(((x, -0.55), (x, -0.14)), 0.27, mix(main, (40, 20, 60), tone))
        pen.part(rounded(x - 0.21, -0.2, x + 0.16, 0.0, 0.09), mix(second, (40, 20, 60), tone))
    body = smooth(
        (
            (-0.72, -0.8),
            (-0.5, -1.16),
            (0.1, -1.14),
            (0.7, -1.14),
            (1.0, -0.9),
            (0.94, -0.45),
            (0.5, -0.3),
            (0.0, -0.32),
            (-0.55, -0.35),
        )
    )
    dots = ((0.5, 0.3), (0.76, 0.22), (0.92, 0.55), (0.64, 0.68), (0.36, 0.74), (0.12, 0.6))
    pen.part(body, main, marks_of(pattern, (-0.75, -1.16, 1.0, -0.3), dots=dots), second, shade=0.12)
    head = pen.at(-0.45, -1.4, head_size)
    skull = smooth(
        ((-0.5, -0.1), (-0.4, -0.4), (0.0, -0.54), (0.4, -0.4), (0.5, -0.1), (0.42, 0.26), (0.0, 0.44), (-0.42, 0.26))
    )
    head.part(skull, main, shade=0.1)
    for side in (-1, 1):
        ear = ((0.3, -0.46), (0.52, -0.44), (0.7, -0.1), (0.68, 0.3), (0.5, 0.36), (0.4, 0.1), (0.36, -0.2))
        head.part(smooth(tuple((side * x, y) for x, y in ear)), second, shade=0.06)
    draw_snout(head.at(0, 0.18), second, 0.29, 0.22)
    draw_eyes(head.at(0, -0.16, 0.21))
    return Anchors(head.at(0, -0.44, 0.4), head.at(0, -0.14, 0.24), pen.at(-0.43, -0.97, 0.46), alive=True)


def draw_cat(pen, main, second, pattern, head_size):
    """Draws a sitting cat with pointed ears and a raised tail."""
    tail = smooth(((0.5, -0.15), (0.88, -0.2), (1.0, -0.6), (0.84, -0.95), (0.92, -1.25)), closed=False)
    pen.stroke(tail, 0.2, main)
    pen.stroke(tail[-8:], 0.2, second)
    body = smooth(
        (
            (-0.32, -1.15),
            (0.32, -1.15),
            (0.56, -0.75),
            (0.7, -0.3),
            (0.56, -0.03),
            (0.0, 0.0),
            (-0.56, -0.03),
            (-0.7, -0.3),
            (-0.56, -0.75),
        )
    )
    dots = ((0.5, 0.4), (0.2, 0.55), (0.8, 0.55), (0.32, 0.8), (0.68, 0.8))
    marks = marks_of(pattern, (-0.7, -1.0, 0.7, -0.08), upright=False, dots=dots)
    pen.part(body, main, marks, second, shade=0.1)
    for side in (-1, 1):
        pen.part(oval(side * 0.27, -0.1, 0.25, 0.13), second)
    head = pen.at(0, -1.36, head_size)
    for side in (-1, 1):
        head.part(
            smooth(((side * 0.56, -0.66), (side * 0.12, -0.34), (side * 0.35, 0.0), (side * 0.58, -0.05)), samples=4),
            main,
        )
        head.fill(
            smooth(((side * 0.5, -0.52), (side * 0.26, -0.34), (side * 0.38, -0.1), (side * 0.52, -0.15)), samples=4),
            second,
        )
    skull = smooth(
        (
            (-0.62, 0.05),
            (-0.45, -0.32),
            (0.0, -0.42),
            (0.45, -0.32),
            (0.62, 0.05),
            (0.42, 0.36),
            (0.0, 0.44),
            (-0.42, 0.36),
        )
    )
    head.part(skull, main, shade=0.08)
    draw_snout(head.at(0, 0.22), second, 0.26, 0.18)
    for side in (-1, 1):
        for lift in (0.12, 0.26):
            head.stroke(((side * 0.38, 0.22), (side * 0.74, lift)), 0.025, PUPIL, outline=False)
    draw_eyes(head.at(0, -0.06, 0.24))
    return Anchors(head.at(0, -0.34, 0.39), head.at(0, -0.04, 0.26), pen.at(0, -0.95, 0.46), alive=True)


def draw_rabbit(pen, main, second, pattern, head_size):
    """Draws a sitting rabbit with long ears."""
    pen.disc(0.62, -0.28, 0.2, second, outline=True)
    body = smooth(
        (
            (-0.3, -0.98),
            (0.3, -0.98),
            (0.6, -0.64),
            (0.68, -0.28),
            (0.48, -0.03),
            (-0.48, -0.03),
            (-0.68, -0.28),
            (-0.6, -0.64),
        )
    )
    dots = ((0.5, 0.42), (0.16, 0.42), (0.84, 0.42), (0.33, 0.74), (0.67, 0.74))
    marks = marks_of(pattern, (-0.68, -0.94, 0.68, -0.06), upright=False, radius=0.145, dots=dots)
    pen.part(body, main, marks, second, shade=0.1)
    for side in (-1, 1):
        pen.part(oval(side * 0.38, -0.1, 0.3, 0.13), second)
    head = pen.at(0, -1.13, 0.92 * head_size)
    for side in (-1, 1):
        ear = head.at(side * 0.24, -0.2)
        ear.part(oval(side * 0.1, -0.48, 0.17, 0.5, side * 12), main)
        ear.fill(oval(side * 0.11, -0.48, 0.095, 0.38, side * 12), second)
    skull = smooth(
        (
            (-0.52, 0.02),
            (-0.38, -0.32),
            (0.0, -0.42),
            (0.38, -0.32),
            (0.52, 0.02),
            (0.36, 0.34),
            (0.0, 0.4),
            (-0.36, 0.34),
        )
    )
    head.part(skull, main, shade=0.08)
    for side in (-1, 1):
        head.fill(oval(side * 0.36, 0.14, 0.1, 0.07), BLUSH, alpha=0.7)
    draw_snout(head.at(0, 0.17), second, 0.22, 0.17)
    head.fill(box(-0.06, 0.27, 0.06, 0.36), CREAM)
    draw_eyes(head.at(0, -0.1, 0.21))
    return Anchors(head.at(0, -0.34, 0.38), head.at(0, -0.08, 0.23), pen.at(0, -0.76, 0.46), alive=True)


def draw_duck(pen, main, second, pattern, head_size):
    """Draws a duck in profile: body in the main color, head in the second."""
    for x in (-0.15, 0.25):
        pen.stroke(((x, -0.3), (x, -0.08)), 0.1, BEAK)
        pen.part(oval(x - 0.08, -0.06, 0.2, 0.07), BEAK)
    body = smooth(
        (
            (-0.72, -0.55),
            (-0.62, -0.95),
            (-0.2, -1.12),
            (0.3, -1.0),
            (0.72, -1.08),
            (1.1, -1.32),
            (1.06, -0.8),
            (0.78, -0.36),
            (0.25, -0.16),
            (-0.4, -0.2),
        )
    )
    dots = ((0.22, 0.62), (0.46, 0.36), (0.5, 0.76), (0.72, 0.48), (0.9, 0.22))
    pen.part(body, main, marks_of(pattern, (-0.74, -1.2, 1.1, -0.16), dots=dots), second, shade=0.12)
    wing = smooth(((0.0, -0.72), (0.2, -0.42), (0.55, -0.44), (0.82, -0.72)), closed=False)
    pen.stroke(wing, 0.05, mix(main, PUPIL, 0.5), outline=False)
    head = pen.at(-0.42, -1.4, head_size)
    head.part(oval(0, 0, 0.46, 0.46), second, shade=0.08)
    head.part(smooth(((-0.36, -0.02), (-0.62, 0.02), (-0.78, 0.14), (-0.6, 0.24), (-0.3, 0.26))), BEAK, shade=0.05)
    draw_eyes(head.at(-0.09, -0.12, 0.2))
    return Anchors(head.at(0.02, -0.36, 0.37), head.at(-0.09, -0.1, 0.22), pen.at(-0.4, -1.0, 0.46), alive=True)


def draw_turtle(pen, main, second, pattern, head_size):
    """Draws a turtle: shell in the main color, limbs and head in the second."""
    pen.part(smooth(((0.8, -0.4), (1.14, -0.34), (1.16, -0.2), (0.8, -0.15))), second)
    for x in (-0.3, 0.62):
        pen.stroke(((x, -0.4), (x, -0.16)), 0.34, second)
        pen.part(rounded(x - 0.24, -0.16, x + 0.2, 0.0, 0.07), mix(second, PUPIL, 0.15))
    head = pen.at(-0.72, -1.08, head_size)
    pen.stroke(((-0.35, -0.45), (-0.66, -0.8)), 0.36, second)
    shell = smooth(
        (
            (-0.6, -0.34),
            (-0.54, -0.9),
            (-0.2, -1.42),
            (0.28, -1.56),
            (0.76, -1.34),
            (1.02, -0.85),
            (1.04, -0.34),
            (0.2, -0.28),
        )
    )
    dots = ((0.3, 0.36), (0.6, 0.22), (0.24, 0.74), (0.55, 0.62), (0.84, 0.6))
    marks = marks_of(pattern, (-0.58, -1.56, 1.04, -0.4), radius=0.17, dots=dots)
    pen.part(shell, main, marks, second, shade=0.14)
    pen.part(rounded(-0.66, -0.46, 1.12, -0.26, 0.1), mix(main, PUPIL, 0.25))
    head.part(oval(0, 0, 0.46, 0.42), second, shade=0.08)
    smile = smooth(((-0.2, 0.16), (0.0, 0.27), (0.2, 0.16)), closed=False)
    head.stroke(smile, 0.045, PUPIL if sum(second) > 300 else BLUSH, outline=False)
    for side in (-1, 1):
        head.fill(oval(side * 0.3, 0.12, 0.09, 0.06), BLUSH, alpha=0.7)
    draw_eyes(head.at(0, -0.1, 0.2))
    return Anchors(head.at(0, -0.33, 0.38), head.at(0, -0.08, 0.22), pen.at(-0.6, -0.66, 0.42), alive=True)


def draw_teapot(pen, main, second, pattern, head_size):
    """Draws a teapot with its spout to the left."""
    handle = smooth(((0.55, -1.2), (0.95, -1.28), (1.12, -0.9), (0.95, -0.5), (0.55, -0.42)), closed=False)
    pen.stroke(handle, 0.19, second)
    spout = smooth(
        (
            (-0.45, -0.5),
            (-0.85, -0.65),
            (-0.98, -1.05),
            (-1.22, -1.22),
            (-1.0, -1.36),
            (-0.78, -1.2),
            (-0.68, -0.95),
            (-0.45, -0.95),
        )
    )
    pen.part(spout, second, shade=0.06)
    pen.part(rounded(-0.45, -0.2, 0.45, 0.0, 0.08), second)
    body = oval(0, -0.78, 0.76, 0.68)
    pen.part(body, main, marks_of(pattern, (-0.76, -1.46, 0.76, -0.1), radius=0.16), second, shade=0.12)
    lid = pen.at(0, -1.36, head_size)
    lid.part(
        smooth(((-0.46, 0.06), (-0.34, -0.18), (0.0, -0.27), (0.34, -0.18), (0.46, 0.06), (0.0, 0.12))),
        second,
        shade=0.06,
    )
    lid.disc(0, -0.36, 0.14, main, outline=True)
    return Anchors(lid.at(0, -0.12, 0.44), pen.at(0, -1.0, 0.3), pen.at(0, -1.2, 0.56))


def draw_backpack(pen, main, second, pattern, head_size):
    """Draws a backpack from the front, straps at its sides."""
    pen.stroke(smooth(((-0.24, -1.72), (-0.22, -1.95), (0.22, -1.95), (0.24, -1.72)), closed=False), 0.12, second)
    for side in (-1, 1):
        strap = smooth(
            ((side * 0.5, -1.45), (side * 0.88, -1.2), (side * 0.9, -0.7), (side * 0.55, -0.25)), closed=False
        )
        pen.stroke(strap, 0.17, second)
    body = smooth(
        (
            (-0.68, -0.1),
            (-0.7, -0.8),
            (-0.62, -1.5),
            (-0.3, -1.76),
            (0.3, -1.76),
            (0.62, -1.5),
            (0.7, -0.8),
            (0.68, -0.1),
            (0.0, -0.02),
        )
    )
    dots = ((0.3, 0.16), (0.7, 0.16), (0.14, 0.42), (0.5, 0.4), (0.86, 0.42), (0.1, 0.72), (0.9, 0.72))
    bounds = (-0.7, -1.76, 0.7, 0.0)
    marks = marks_of(pattern, bounds, dots=dots)
    pen.part(body, main, marks, second, shade=0.12)
    pocket = pen.at(0, -0.14, head_size)
    pocket.part(rounded(-0.46, -0.62, 0.46, 0.0, 0.14), second, shade=0.08)
    pocket.part(rounded(-0.46, -0.62, 0.46, -0.4, 0.1), mix(second, PUPIL, 0.18))
    pocket.disc(0, -0.4, 0.08, (255, 214, 90), outline=True)
    return Anchors(pen.at(0, -1.64, 0.42), pen.at(0, -1.16, 0.32), pen.at(0, -1.42, 0.64))


def draw_vase(pen, main, second, pattern, head_size):
    """Draws a vase with a neck and two handles."""
    top = pen.at(0, -1.2, head_size)
    for side in (-1, 1):
        loop = smooth(
            ((side * 0.2, -0.45), (side * 0.56, -0.48), (side * 0.66, -0.15), (side * 0.5, 0.18)), closed=False
        )
        top.stroke(loop, 0.13, second)
    pen.part(rounded(-0.4, -0.2, 0.4, 0.0, 0.08), second)
    body = smooth(
        (
            (-0.3, -0.14),
            (-0.58, -0.5),
            (-0.68, -0.9),
            (-0.5, -1.24),
            (-0.25, -1.38),
            (0.25, -1.38),
            (0.5, -1.24),
            (0.68, -0.9),
            (0.58, -0.5),
            (0.3, -0.14),
        )
    )
    marks = marks_of(pattern, (-0.68, -1.28, 0.68, -0.16), upright=False)
    pen.part(body, main, marks, second, shade=0.12)
    top.part(
        smooth(((-0.3, -0.02), (-0.22, -0.3), (-0.28, -0.56), (0.28, -0.56), (0.22, -0.3), (0.3, -0.02), (0.0, 0.06))),
        second,
        shade=0.06,
    )
    top.part(rounded(-0.4, -0.7, 0.4, -0.52, 0.08), mix(second, CREAM, 0.2))
    return Anchors(top.at(0, -0.58, 0.37), top.at(0, -0.04, 0.3), top.at(0, -0.14, 0.42))


def draw_car(pen, main, second, pattern, head_size):
    """Draws a small round car from the side."""
    cabin = pen.at(0.08, -0.92, head_size)
    cabin.part(
        smooth(((-0.68, 0.1), (-0.52, -0.5), (-0.2, -0.72), (0.3, -0.72), (0.58, -0.48), (0.72, 0.1))),
        second,
        shade=0.06,
    )
    cabin.part(smooth(((-0.48, 0.0), (-0.38, -0.4), (-0.14, -0.54), (-0.04, -0.54), (-0.04, 0.0)), samples=4), GLASS)
    cabin.part(smooth(((0.12, 0.0), (0.12, -0.54), (0.28, -0.54), (0.46, -0.38), (0.54, 0.0)), samples=4), GLASS)
    body = smooth(
        (
            (-1.1, -0.32),
            (-1.1, -0.66),
            (-0.85, -0.92),
            (-0.3, -1.0),
            (0.5, -1.0),
            (0.95, -0.88),
            (1.12, -0.58),
            (1.1, -0.3),
            (0.0, -0.24),
        )
    )
    dots = ((0.16, 0.42), (0.38, 0.24), (0.5, 0.68), (0.63, 0.24), (0.86, 0.38))
    pen.part(body, main, marks_of(pattern, (-1.1, -1.0, 1.12, -0.24), radius=0.14, dots=dots), second, shade=0.1)
    pen.disc(-0.98, -0.62, 0.11, (255, 240, 170), outline=True)
    pen.part(rounded(-1.2, -0.42, -0.82, -0.26, 0.07), second)
    pen.part(rounded(0.84, -0.42, 1.2, -0.26, 0.07), second)
    for x in (-0.58, 0.62):
        pen.disc(x, -0.28, 0.28, RUBBER, outline=True)
        pen.disc(x, -0.28, 0.15, second)
    return Anchors(cabin.at(0.05, -0.66, 0.42), cabin.at(0.04, -0.25, 0.3), cabin.at(0.02, -0.02, 0.7))


def draw_boot(pen, main, second, pattern, head_size):
    """Draws a boot with its toe to the left."""
    body = smooth(
        (
            (-0.2, -1.52),
            (0.62, -1.52),
            (0.62, -0.9),
            (0.68, -0.16),
            (0.0, -0.12),
            (-0.86, -0.14),
            (-0.98, -0.42),
            (-0.78, -0.7),
            (-0.34, -0.82),
            (-0.2, -1.1),
        )
    )
    dots = ((0.6, 0.22), (0.88, 0.3), (0.68, 0.58), (0.9, 0.76), (0.36, 0.74), (0.1, 0.86))
    if pattern == "striped":
        marks = [box(-1.0, y - 0.075, 0.8, y + 0.075) for y in (-1.3, -1.0, -0.7, -0.4)]
    else:
        marks = marks_of(pattern, (-0.98, -1.52, 0.68, -0.14), dots=dots)
    pen.part(body, main, marks, second, shade=0.12)
    pen.part(rounded(-1.06, -0.22, 0.76, 0.0, 0.1), second, shade=0.05)
    cuff = pen.at(0.21, -1.44, head_size)
    cuff.part(rounded(-0.54, -0.26, 0.54, 0.12, 0.14), second, shade=0.06)
    for y in (-0.98, -0.8):
        pen.stroke(((-0.26, y), (0.02, y + 0.06)), 0.06, CREAM)
    return Anchors(cuff.at(0, -0.18, 0.44), pen.at(0.2, -1.0, 0.27), pen.at(0.21, -1.2, 0.5))


DRAWERS = {
    "dog": draw_dog,
    "cat": draw_cat,
    "rabbit": draw_rabbit,
    "duck": draw_duck,
    "turtle": draw_turtle,
    "teapot": draw_teapot,
    "backpack": draw_backpack,
    "vase": draw_vase,
    "car": draw_car,
    "boot": draw_boot,
}
