"""A small anti-aliased drawing surface: smooth shapes in local coordinates, drawn large and reduced once."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

SUPERSAMPLING = 4
OUTLINE_WIDTH = 0.0125  # of the picture's side
INK = (52, 40, 52)


def mix(color, other, amount):
    """Returns `color` moved towards `other` by `amount` in [0, 1]."""
    return tuple(round(a + (b - a) * amount) for a, b in zip(color, other, strict=True))


def outline_of(color):
    """Returns the darker tone that outlines a part of `color`."""
    return mix(tuple(round(0.42 * c) for c in color), INK, 0.45)


@lru_cache(maxsize=4096)
def smooth(points, closed=True, samples=7):
    """Returns a Catmull-Rom curve through `points` as an array of shape `(n, 2)`."""
    p = np.array(points, float)
    if not closed:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    before, start, end, after = (np.roll(p, shift, axis=0)[:, None] for shift in (1, 0, -1, -2))
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    if closed:
        return curve.reshape(-1, 2)
    return np.concatenate([curve[1:-2].reshape(-1, 2), p[-2:-1]])


@lru_cache(maxsize=4096)
def oval(x, y, rx, ry, angle=0.0):
    """Returns an ellipse turned by `angle` degrees as an array of shape `(n, 2)`."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    dx, dy = rx * np.cos(turn), ry * np.sin(turn)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.stack([x + cos * dx - sin * dy, y + sin * dx + cos * dy], axis=-1)


def box(x0, y0, x1, y1):
    """Returns the corners of a rectangle as an array of shape `(4, 2)`."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


@lru_cache(maxsize=4096)
def rounded(x0, y0, x1, y1, radius):
    """Returns a rectangle with round corners as an array of shape `(n, 2)`."""
    corners = [(x1 - radius, y1 - radius), (x0 + radius, y1 - radius), (x0 + radius, y0 + radius)]
    corners.append((x1 - radius, y0 + radius))
    turn = np.linspace(0, np.pi / 2, 7)
    arcs = [
        np.stack([x + radius * np.cos(turn + k * np.pi / 2), y + radius * np.sin(turn + k * np.pi / 2)], axis=-1)
        for k, (x, y) in enumerate(corners)
    ]
    return np.concatenate(arcs)


class Canvas:
    """A square picture under construction.

    Args:
        size: Side of the finished picture in pixels.
    """

    def __init__(self, size):
        self.size = size
        self.side = size * SUPERSAMPLING
        self.image = Image.new("RGB", (self.side, self.side))
        self.draw = ImageDraw.Draw(self.image)
        self.blend = ImageDraw.Draw(self.image, "RGBA")

    def pen(self):
        """Returns a pen whose unit is the side of the picture, with (0, 0) at the top left."""
        return Pen(self, 0.0, 0.0, self.side, self.side)

    def gradient(self, stops, light=1.0):
        """Fills the picture with a vertical gradient of `stops`, pairs of (height in [0, 1], color)."""
        heights, colors = zip(*stops, strict=True)
        rows = (np.arange(self.side) + 0.5) / self.side
        column = np.stack([np.interp(rows, heights, channel) for channel in np.array(colors, float).T], axis=-1)
        column = np.clip(column * light, 0, 255).astype("uint8")[:, None]
        self.image.paste(Image.fromarray(column).resize((self.side, self.side), Image.Resampling.NEAREST))

    def array(self):
        """Returns the finished picture as a uint8 array of shape `(size, size, 3)`."""
        return np.asarray(self.image.reduce(SUPERSAMPLING))


class Pen:
    """Draws on a canvas in coordinates of its own: x to the right, y down.

    Args:
        canvas: The `Canvas` to draw on.
        x, y: Place of the local origin in canvas pixels.
        scale_x, scale_y: Canvas pixels per local unit; a negative `scale_x` mirrors.
        light: Factor on every color.
    """

    def __init__(self, canvas, x, y, scale_x, scale_y, light=1.0):
        self.canvas = canvas
        self.x, self.y = x, y
        self.scale_x, self.scale_y = scale_x, scale_y
        self.light = light

    def at(self, x, y, factor=1.0, width=1.0):
        """Returns a pen with its origin at the local point (x, y), its unit `factor` times larger."""
        x, y = self.x + x * self.scale_x, self.y + y * self.scale_y
        return Pen(self.canvas, x, y, self.scale_x * factor * width, self.scale_y * factor, self.light)

    def lit(self, light):
        """Returns the same pen under another light."""
        return Pen(self.canvas, self.x, self.y, self.scale_x, self.scale_y, light)

    def fill(self, points, color, alpha=None):
        """Fills a polygon without an outline."""
        color = self._color(color)
        if alpha is None:
            self.canvas.draw.polygon(self._pixels(points), fill=color)
        else:
            self.canvas.blend.polygon(self._pixels(points), fill=(*color, round(255 * alpha)))

    def part(self, points, color, marks=(), mark_color=None, shade=0.0):
        """Fills an outlined polygon.

        Args:
            points: Array of shape `(n, 2)`.
            color: RGB triple.
            marks: Polygons that are painted on the part and end at its border.
            mark_color: RGB triple of the marks.
            shade: Thickness of the crescent of shade at the lower border.
        """
        pixels, draw = self._pixels(points), self.canvas.draw
        self._contour(pixels, outline_of(color))
        draw.polygon(pixels, fill=self._color(color))
        if len(marks) or shade:
            self._decorate(points, marks, mark_color, shade)

    def disc(self, x, y, radius, color, outline=False):
        """Fills a circle that stays round under a pen with unequal scales."""
        cx, cy, r = self.x + x * self.scale_x, self.y + y * self.scale_y, radius * self.scale_y
        if outline:
            grown = r + self._outline() / 2
            self.canvas.draw.ellipse((cx - grown, cy - grown, cx + grown, cy + grown), fill=outline_of(color))
        self.canvas.draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=self._color(color))

    def stroke(self, points, width, color, outline=True):
        """Draws a thick line with round ends through `points`."""
        pixels = self._pixels(points)
        if outline:
            self._line(pixels, width * self.scale_y + self._outline(), outline_of(color))
        self._line(pixels, width * self.scale_y, self._color(color))

    def shadow(self, x, y, rx, ry, strength=0.5):
        """Darkens a soft ellipse."""
        for grow in np.linspace(0.65, 1.15, 6):
            self.fill(oval(x, y, rx * grow, ry * grow), (30, 20, 45), alpha=strength / 6)

    def _decorate(self, points, marks, mark_color, shade):
        pixels = self._pixels(points)
        xs, ys = pixels[0::2], pixels[1::2]
        left, top = max(0, int(min(xs))), max(0, int(min(ys)))
        size = (int(max(xs)) + 2 - left, int(max(ys)) + 2 - top)
        if min(size) <= 0:
            return
        inside = self._mask(pixels, left, top, size)
        if len(marks):
            painted = Image.new("L", size)
            stencil = ImageDraw.Draw(painted)
            for mark in marks:
                stencil.polygon(self._shifted(self._pixels(mark), left, top), fill=255)
            self.canvas.image.paste(self._color(mark_color), (left, top), ImageChops.darker(inside, painted))
        if shade:
            lifted = self._mask(self._pixels(points - np.array([shade * 0.5, shade])), left, top, size)
            crescent = ImageChops.subtract(inside, lifted).point(lambda value: value * 0.2)
            self.canvas.image.paste((40, 20, 60), (left, top), crescent)

    def _mask(self, pixels, left, top, size):
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon(self._shifted(pixels, left, top), fill=255)
        return mask

    @staticmethod
    def _shifted(pixels, left, top):
        return [value - (top if index % 2 else left) for index, value in enumerate(pixels)]

    def _contour(self, pixels, color):
        draw, width = self.canvas.draw, self._outline()
        draw.line(pixels + pixels[:4], fill=self._color(color), width=width)
        if len(pixels) <= 16:
            for x, y in zip(pixels[0::2], pixels[1::2], strict=True):
                draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=self._color(color))

    def _line(self, pixels, width, color):
        draw, width = self.canvas.draw, max(1, round(width))
        draw.line(pixels, fill=color, width=width)
        radius = width / 2
        for x, y in zip(pixels[0::2], pixels[1::2], strict=True):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def _outline(self):
        return max(1, round(OUTLINE_WIDTH * self.canvas.side))

    def _pixels(self, points):
        return (np.asarray(points) * (self.scale_x, self.scale_y) + (self.x, self.y)).ravel().tolist()

    def _color(self, color):
        return color if self.light == 1.0 else tuple(min(255, round(c * self.light)) for c in color)
