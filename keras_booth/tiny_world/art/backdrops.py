"""The twelve settings of the tiny world, each drawn by one function: a calm ground and a few large features."""

import numpy as np

from keras_booth.tiny_world.art.canvas import box, mix, oval, rounded, smooth


def draw_backdrop(canvas, setting, rng):
    """Fills the canvas with `setting`; `rng` varies the light and the places of the features."""
    light = rng.uniform(0.95, 1.05)
    BACKDROPS[setting](canvas, canvas.pen().lit(light), light, rng)


def draw_jungle(canvas, pen, light, rng):
    """A clearing among large leaves."""
    canvas.gradient(((0, (44, 128, 72)), (0.45, (120, 186, 96)), (0.7, (70, 140, 70)), (1, (40, 96, 52))), light)
    for x in rng.uniform(-0.03, 0.03, 2) + (0.3, 0.72):
        pen.stroke(((x, -0.05), (x + 0.02, 0.3)), 0.02, (30, 92, 52), outline=False)
    pen.fill(smooth(((-0.1, 0.78), (0.3, 0.72), (0.7, 0.73), (1.1, 0.78), (1.1, 1.2), (-0.1, 1.2))), (52, 116, 56))
    for side in (0, 1):
        for k, angle in enumerate((-75, -38, 0, 38)):
            turn = angle + rng.uniform(-8, 8)
            tone = ((18, 92, 54), (34, 122, 62), (14, 80, 50), (44, 138, 66))[k]
            leaf = pen.at(side, 0.12 + 0.17 * k, width=1 - 2 * side)
            _leaf(leaf, 0.3, turn, tone)
        _leaf(pen.at(side, 1.0, width=1 - 2 * side), 0.28, -42 + rng.uniform(-8, 8), (26, 108, 58))


def draw_snow(canvas, pen, light, rng):
    """Snowy hills with fir trees under falling flakes."""
    canvas.gradient(((0, (150, 190, 228)), (0.55, (214, 232, 246))), light)
    pen.fill(smooth(((-0.1, 0.6), (0.25, 0.52), (0.6, 0.58), (1.1, 0.5), (1.1, 1.2), (-0.1, 1.2))), (226, 238, 250))
    for x, height in ((0.1, 0.4), (0.9, 0.46)):
        _fir(pen.at(x + rng.uniform(-0.04, 0.04), 0.66, rng.uniform(0.9, 1.1)), height)
    pen.fill(smooth(((-0.1, 0.72), (0.3, 0.67), (0.7, 0.66), (1.1, 0.72), (1.1, 1.2), (-0.1, 1.2))), (246, 250, 255))
    for x, y in ((0.06, 0.1), (0.3, 0.06), (0.68, 0.12), (0.94, 0.08), (0.22, 0.3), (0.8, 0.28)):
        dx, dy = rng.uniform(-0.03, 0.03, 2)
        pen.disc(x + dx, y + dy, 0.017, (255, 255, 255))


def draw_beach(canvas, pen, light, rng):
    """Sand, sea, a palm tree and the sun."""
    canvas.gradient(((0, (120, 206, 246)), (0.4, (206, 240, 250))), light)
    pen.fill(box(0, 0.4, 1, 0.7), (30, 164, 190))
    pen.fill(smooth(((-0.1, 0.62), (0.25, 0.59), (0.7, 0.63), (1.1, 0.58), (1.1, 1.2), (-0.1, 1.2))), (240, 250, 250))
    pen.fill(smooth(((-0.1, 0.65), (0.25, 0.62), (0.7, 0.66), (1.1, 0.61), (1.1, 1.2), (-0.1, 1.2))), (246, 216, 150))
    side = rng.integers(2)
    scene = pen.at(side, 0, width=1 - 2 * side)
    scene.disc(0.84, 0.14 + rng.uniform(-0.02, 0.02), 0.085, (255, 232, 110))
    foot = 0.1 + rng.uniform(-0.03, 0.03)
    scene.stroke(smooth(((foot, 0.76), (foot + 0.0, 0.5), (foot + 0.06, 0.22)), closed=False), 0.05, (160, 108, 62))
    for angle in (-160, -110, -60, -15, 25):
        _leaf(scene.at(foot + 0.06, 0.2), 0.25, angle, (40, 150, 84))
    _star(scene.at(0.88 + rng.uniform(-0.03, 0.03), 0.9), 0.055, (240, 120, 90))


def draw_cobblestone(canvas, pen, light, rng):
    """A street of grey cobblestones between warm house fronts."""
    canvas.gradient(
        ((0, (250, 226, 190)), (0.5, (244, 208, 164)), (0.51, (112, 112, 126)), (1, (112, 112, 126))), light
    )
    for side in (0, 1):
        front = pen.at(side, 0, width=1 - 2 * side)
        tone = ((206, 120, 84), (226, 168, 88))[side]
        front.part(box(-0.1, -0.1, 0.27 + rng.uniform(-0.02, 0.02), 0.52), tone)
        front.part(rounded(0.06, 0.1, 0.18, 0.34, 0.055), (120, 84, 84))
        front.fill(rounded(0.08, 0.13, 0.16, 0.32, 0.035), (255, 236, 170))
    shift = rng.uniform(-0.5, 0.5)
    for row in range(5):
        top, height = 0.52 + 0.075 * row + 0.01 * row**1.5, 0.072 + 0.008 * row
        width = 0.14 + 0.014 * row
        for k in range(-1, 9):
            left = (k + shift + 0.5 * (row % 2)) * width
            tone = ((176, 176, 186), (154, 156, 170), (192, 188, 190))[(k * 2 + row) % 3]
            pen.fill(rounded(left + 0.006, top, left + width - 0.008, top + height - 0.004, 0.028), tone)


def draw_pink_fabric(canvas, pen, light, rng):
    """Pink fabric in large soft folds."""
    canvas.gradient(((0, (250, 150, 188)), (1, (244, 128, 172))), light)
    lift = rng.uniform(-0.04, 0.04)
    folds = ((0.1, (255, 182, 210)), (0.19, (232, 108, 156)), (0.36, (255, 176, 206)), (0.45, (236, 114, 160)))
    folds += ((0.64, (255, 180, 208)), (0.75, (238, 118, 164)), (0.9, (255, 174, 204)))
    for y, tone in folds:
        y += lift
        wave = ((-0.1, y + 0.06), (0.2, y - 0.02), (0.5, y + 0.05), (0.8, y - 0.03), (1.1, y + 0.05))
        under = tuple((x, v + 0.055) for x, v in reversed(wave))
        pen.fill(smooth(wave + under), tone)


def draw_wooden_floor(canvas, pen, light, rng):
    """A floor of planks before a papered wall."""
    canvas.gradient(((0, (238, 228, 206)), (0.44, (228, 214, 188))), light)
    for x in np.arange(-0.5, 8) * 0.14 + rng.uniform(-0.03, 0.03):
        pen.fill(box(x, 0, x + 0.06, 0.42), (226, 212, 184))
    pen.fill(box(0, 0.42, 1, 0.48), (252, 248, 238))
    pen.fill(box(0, 0.48, 1, 1), (120, 70, 36))
    shift = rng.uniform(-0.5, 0.5)
    for k in range(-5, 6):
        near, far = 0.5 + (k + shift) * 0.24, 0.5 + (k + shift) * 0.12
        tone = ((196, 128, 70), (178, 110, 58), (208, 142, 82))[k % 3]
        pen.fill(np.array([(far + 0.005, 0.485), (far + 0.115, 0.485), (near + 0.23, 1.0), (near + 0.01, 1.0)]), tone)
    side = rng.integers(2)
    frame = pen.at(side, 0, width=1 - 2 * side)
    frame.part(box(0.06, 0.08, 0.26, 0.28), (150, 92, 50))
    frame.fill(box(0.085, 0.105, 0.235, 0.255), (170, 214, 226))


def draw_city(canvas, pen, light, rng):
    """Skyscrapers with lit windows in the evening, above a street."""
    canvas.gradient(((0, (110, 104, 176)), (0.35, (196, 146, 190)), (0.62, (250, 190, 160))), light)
    shift = rng.uniform(-0.03, 0.03)
    towers = ((-0.05, 0.26), (0.14, 0.1), (0.33, 0.22), (0.52, 0.3), (0.66, 0.07), (0.85, 0.2))
    for k, (x, top) in enumerate(towers):
        x, top = x + shift, top + rng.uniform(-0.03, 0.03)
        pen.part(box(x, top, x + 0.18, 0.7), ((74, 78, 128), (56, 60, 108))[k % 2])
        for column in (0.03, 0.105):
            for row in range(6):
                y = top + 0.05 + 0.085 * row
                pen.fill(box(x + column, y, x + column + 0.042, y + 0.045), (255, 222, 130))
    pen.fill(box(0, 0.68, 1, 1), (96, 92, 112))
    pen.fill(box(0, 0.68, 1, 0.715), (170, 164, 176))
    for k in range(3):
        x = 0.36 * k + shift
        pen.fill(box(x, 0.93, x + 0.2, 0.965), (240, 230, 220))


def draw_mountain(canvas, pen, light, rng):
    """Snow-capped mountains behind a meadow."""
    canvas.gradient(((0, (84, 160, 232)), (0.6, (196, 226, 246))), light)
    for x, top, width in ((0.12, 0.2, 0.36), (0.9, 0.16, 0.36), (0.5, 0.07, 0.42)):
        x, top = x + rng.uniform(-0.04, 0.04), top + rng.uniform(-0.03, 0.03)
        slope = (0.7 - top) / width
        pen.part(np.array([(x, top), (x + width, 0.7), (x - width, 0.7)]), (112, 116, 150))
        pen.fill(np.array([(x, top), (x + width, 0.7), (x + 0.06, 0.7)]), (90, 92, 128))
        cap, low = 0.085, slope * 0.085
        teeth = [
            (x + cap, low),
            (x + cap * 0.4, low * 0.72),
            (x, low * 1.15),
            (x - cap * 0.45, low * 0.72),
            (x - cap, low),
        ]
        pen.fill(np.array([(x, top)] + [(u, top + v) for u, v in teeth]), (252, 252, 255))
    pen.fill(smooth(((-0.1, 0.66), (0.25, 0.62), (0.7, 0.66), (1.1, 0.61), (1.1, 1.2), (-0.1, 1.2))), (126, 178, 92))
    pen.fill(smooth(((-0.1, 0.8), (0.3, 0.76), (0.7, 0.8), (1.1, 0.75), (1.1, 1.2), (-0.1, 1.2))), (142, 192, 102))


def draw_blue_house(canvas, pen, light, rng):
    """A blue house with a red roof behind a lawn."""
    canvas.gradient(((0, (226, 240, 244)), (0.6, (246, 246, 232))), light)
    x = rng.uniform(-0.03, 0.03)
    house = pen.at(x, rng.uniform(-0.015, 0.015))
    house.part(box(0.68, 0.02, 0.79, 0.25), (176, 84, 70))
    house.part(box(0.06, 0.24, 0.94, 0.8), (66, 134, 206))
    for y in (0.38, 0.5, 0.62):
        house.fill(box(0.06, y, 0.94, y + 0.012), (54, 116, 186))
    house.part(np.array([(-0.02, 0.3), (0.2, 0.06), (0.8, 0.06), (1.02, 0.3)]), (170, 62, 62))
    for left in (0.1, 0.75):
        house.part(box(left, 0.38, left + 0.15, 0.58), (255, 255, 250))
        house.fill(box(left + 0.025, 0.405, left + 0.125, 0.555), (170, 216, 240))
        house.fill(box(left + 0.065, 0.4, left + 0.085, 0.56), (255, 255, 250))
    pen.fill(smooth(((-0.1, 0.73), (0.3, 0.71), (0.7, 0.71), (1.1, 0.73), (1.1, 1.2), (-0.1, 1.2))), (120, 190, 96))
    for side in (0, 1):
        pen.fill(oval(side, 0.73, 0.13, 0.08), (72, 150, 78))


def draw_wheat_field(canvas, pen, light, rng):
    """A golden wheat field under an evening sky."""
    canvas.gradient(((0, (255, 196, 130)), (0.42, (255, 236, 190)), (0.43, (226, 170, 60)), (1, (206, 146, 44))), light)
    pen.disc(0.5 + rng.uniform(-0.3, 0.3), 0.3, 0.1, (255, 250, 220))
    pen.fill(smooth(((-0.1, 0.44), (0.3, 0.38), (0.7, 0.42), (1.1, 0.37), (1.1, 0.7), (-0.1, 0.7))), (240, 194, 84))
    pen.fill(box(0, 0.6, 1, 1), (222, 166, 58))
    for x in (0.03, 0.12, 0.22, 0.78, 0.88, 0.97):
        bend = rng.uniform(-0.04, 0.04)
        top = 0.36 + rng.uniform(-0.05, 0.05)
        pen.stroke(smooth(((x, 1.0), (x, 0.7), (x + bend, top)), closed=False), 0.016, (176, 120, 34), outline=False)
        ear = pen.at(x + bend, top)
        ear.part(oval(0, 0.0, 0.03, 0.085, 300 * bend), (248, 204, 92))
        ear.fill(oval(0, 0.0, 0.007, 0.075, 300 * bend), (190, 130, 40))


def draw_autumn(canvas, pen, light, rng):
    """A tree in autumn colors above fallen leaves."""
    canvas.gradient(((0, (206, 226, 232)), (0.6, (250, 240, 216))), light)
    pen.fill(smooth(((-0.1, 0.7), (0.3, 0.66), (0.7, 0.67), (1.1, 0.7), (1.1, 1.2), (-0.1, 1.2))), (192, 124, 62))
    side = rng.integers(2)
    tree = pen.at(side, 0, width=1 - 2 * side)
    x = 0.13 + rng.uniform(-0.03, 0.03)
    tree.part(
        smooth(((x - 0.09, 0.78), (x - 0.05, 0.5), (x - 0.07, 0.2), (x + 0.06, 0.2), (x + 0.05, 0.5), (x + 0.1, 0.78))),
        (112, 70, 48),
    )
    crown = (
        (0.0, 0.24, 0.17),
        (0.62, 0.07, 0.15),
        (0.42, 0.1, 0.17),
        (0.22, 0.2, 0.19),
        (0.1, 0.06, 0.2),
        (0.3, 0.02, 0.17),
    )
    tones = ((206, 74, 40), (238, 160, 50), (222, 96, 40), (234, 126, 42), (206, 78, 44), (240, 150, 48))
    for (u, v, radius), tone in zip(crown, tones, strict=True):
        tree.disc(u + rng.uniform(-0.02, 0.02), v, radius, tone)
    leaves = (
        (0.05, 0.88),
        (0.2, 0.95),
        (0.84, 0.82),
        (0.94, 0.94),
        (0.74, 0.96),
        (0.9, 0.4),
        (0.8, 0.56),
        (0.95, 0.66),
    )
    for k, (u, v) in enumerate(leaves):
        u, v = (u, v) + rng.uniform(-0.025, 0.025, 2)
        tree.fill(oval(u, v, 0.042, 0.024, 40 * k), ((216, 70, 40), (246, 178, 56), (230, 110, 40))[k % 3])


def draw_sunflowers(canvas, pen, light, rng):
    """Bright green grass, seen from above, with sunflowers around."""
    canvas.gradient(((0, (116, 196, 82)), (1, (92, 176, 66))), light)
    for y in (0.08, 0.3, 0.52, 0.74, 0.96):
        for x in (0.02, 0.27, 0.52, 0.77, 1.02):
            blade = pen.at(x + 0.12 * ((y * 50) % 2 > 0.5), y)
            blade.fill(
                np.array([(-0.04, 0.03), (-0.03, -0.05), (0.0, 0.0), (0.02, -0.06), (0.05, 0.03)]), (74, 156, 58)
            )
    places = ((0.1, 0.12), (0.9, 0.12), (0.5, 0.04), (0.06, 0.45), (0.95, 0.47), (0.09, 0.8), (0.92, 0.82))
    for x, y in places:
        dx, dy = rng.uniform(-0.025, 0.025, 2)
        _sunflower(pen.at(x + dx, y + dy, rng.uniform(0.9, 1.1)), 0.115)


def _leaf(pen, length, angle, color):
    turned = np.array(_turned(((0, 0), (0.3, -0.2), (0.7, -0.17), (1, 0), (0.7, 0.17), (0.3, 0.2)), angle)) * length
    pen.fill(smooth(tuple(map(tuple, turned))), color)
    tip = np.array(_turned(((0, 0), (0.92, 0)), angle)) * length
    pen.stroke(tip, 0.012, mix(color, (220, 240, 140), 0.35), outline=False)


def _turned(points, angle):
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return [(cos * x - sin * y, sin * x + cos * y) for x, y in points]


def _fir(pen, height):
    pen.fill(box(-0.02, -0.06, 0.02, 0.02), (110, 80, 62))
    for k in range(3):
        top, half = -height + 0.11 * k, 0.075 + 0.032 * k
        pen.part(np.array([(0, top), (half, top + 0.19), (-half, top + 0.19)]), (44, 110, 104))
        pen.fill(
            np.array([(0, top), (half * 0.6, top + 0.1), (0, top + 0.07), (-half * 0.6, top + 0.1)]), (250, 252, 255)
        )


def _star(pen, radius, color):
    turn = np.arange(10) * np.pi / 5 - np.pi / 2
    reach = np.where(np.arange(10) % 2, 0.5, 1.0) * radius
    pen.part(np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=-1), color)


def _sunflower(pen, radius):
    for angle in range(0, 360, 40):
        x, y = _turned(((0.66 * radius, 0),), angle)[0]
        pen.fill(oval(x, y, 0.42 * radius, 0.2 * radius, angle), (255, 206, 30))
    pen.disc(0, 0, 0.46 * radius, (118, 70, 30))


BACKDROPS = {
    "in the jungle": draw_jungle,
    "in the snow": draw_snow,
    "on the beach": draw_beach,
    "on a cobblestone street": draw_cobblestone,
    "on top of pink fabric": draw_pink_fabric,
    "on top of a wooden floor": draw_wooden_floor,
    "with a city in the background": draw_city,
    "with a mountain in the background": draw_mountain,
    "with a blue house in the background": draw_blue_house,
    "with a wheat field in the background": draw_wheat_field,
    "with a tree and autumn leaves in the background": draw_autumn,
    "on top of green grass with sunflowers around it": draw_sunflowers,
}
