"""Lines over a logarithmic axis as an SVG picture, without a library. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 160, 40, 50
COLOURS = ("#1f6f8b", "#c8553d", "#588157", "#7b2d8b", "#b08900", "#444444", "#2a9d8f")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axes:
    """What the picture is of, what its axes are, and whether they are logarithmic."""

    title: str
    x: str
    y: str
    log_x: bool = True
    log_y: bool = False


def svg(axes: Axes, lines: Mapping[str, Points]) -> str:
    """One line for each name, a dot for each point. x and y are above 0 where an axis is logarithmic."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    across = _Scale(xs, LEFT, WIDTH - RIGHT, logarithmic=axes.log_x)
    up = _Scale([*ys, *([] if axes.log_y else [0.0])], HEIGHT - BOTTOM, TOP, logarithmic=axes.log_y)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 22, axes.title, size=15),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, axes.x, anchor="middle"),
        f'<g transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">{_text(0, 0, axes.y, anchor="middle")}</g>',
    ]
    for tick in across.ticks():
        x = across.at(tick)
        drawn.append(_rule(x, TOP, x, HEIGHT - BOTTOM))
        drawn.append(_text(x, HEIGHT - BOTTOM + 18, short(tick), anchor="middle"))
    for tick in up.ticks():
        y = up.at(tick)
        drawn.append(_rule(LEFT, y, WIDTH - RIGHT, y))
        drawn.append(_text(LEFT - 6, y + 4, short(tick), anchor="end"))
    for place, (name, points) in enumerate(lines.items()):
        drawn += _line(name, [(across.at(x), up.at(y)) for x, y in points], place)
    return "\n".join([*drawn, "</svg>", ""])


def short(value: float) -> str:
    """A number as an axis shows it: 10 k, 1 M."""
    for least, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= least:
            return f"{value / least:g}{letter}"
    return f"{value:g}"


class _Scale:
    """From values to pixels."""

    def __init__(self, values: Sequence[float], begin: float, end: float, *, logarithmic: bool) -> None:
        self._logarithmic = logarithmic
        least, most = self._of(min(values)), self._of(max(values))
        self._least, self._most = least, most if most > least else least + 1
        if not logarithmic:
            step = self._step()
            self._most = ceil(self._most / step) * step
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        share = (self._of(value) - self._least) / (self._most - self._least)
        return round(self._begin + share * (self._end - self._begin), 1)

    def ticks(self) -> list[float]:
        if self._logarithmic:
            return [10.0**power for power in range(ceil(self._least - 1e-9), floor(self._most + 1e-9) + 1)]
        step = self._step()
        count = int((self._most - self._least) / step + 1e-9)
        return [round(self._least + place * step, 9) for place in range(count + 1)]

    def _step(self) -> float:
        rough = (self._most - self._least) / 5
        power = 10.0 ** floor(log10(rough))
        return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)

    def _of(self, value: float) -> float:
        return log10(value) if self._logarithmic else value


def _line(name: str, points: Points, place: int) -> list[str]:
    colour = COLOURS[place % len(COLOURS)]
    path = " ".join(f"{x},{y}" for x, y in points)
    label = TOP + 14 + 18 * place
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points),
        f'<rect x="{WIDTH - RIGHT + 12}" y="{label - 9}" width="10" height="10" fill="{colour}"/>',
        _text(WIDTH - RIGHT + 28, label, name),
    ]


def _rule(x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
