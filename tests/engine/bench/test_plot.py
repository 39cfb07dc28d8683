from xml.etree import ElementTree as ET

from engine.bench.plot import HEIGHT, LEFT, RIGHT, WIDTH, Axes, short, svg

SVG = "{http://www.w3.org/2000/svg}"


def dots(picture: str) -> list[tuple[float, float]]:
    return [
        (float(each.get("cx")), float(each.get("cy"))) for each in ET.fromstring(picture).iter(f"{SVG}circle")
    ]


def test_every_point_is_a_dot_inside_the_picture():
    picture = svg(Axes("Cost", "geofences", "us"), {"all": [(1e3, 2.0), (1e5, 3.0)], "match": [(1e4, 1.0)]})
    assert len(dots(picture)) == 3
    assert all(LEFT <= x <= WIDTH - RIGHT and 0 <= y <= HEIGHT for x, y in dots(picture))


def test_a_logarithmic_axis_puts_powers_of_ten_at_equal_distances():
    [(a, _), (b, _), (c, _)] = dots(svg(Axes("", "", ""), {"all": [(10, 1.0), (100, 1.0), (1000, 1.0)]}))
    assert b - a == c - b > 0


def test_more_is_higher():
    [(_, low), (_, high)] = dots(svg(Axes("", "", "", log_y=True), {"all": [(1, 10.0), (2, 1000.0)]}))
    assert high < low


def test_names_are_escaped_and_a_single_point_is_drawn():
    picture = svg(Axes("a < b & c", "x", "y"), {"<line>": [(5, 5)]})
    assert len(dots(picture)) == 1
    assert "a < b & c" in "".join(ET.fromstring(picture).itertext())


def test_numbers_are_short():
    assert [short(each) for each in (5, 1000, 2.5e6, 1e9, 0.2)] == ["5", "1 k", "2.5 M", "1 G", "0.2"]
