import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
TOPS = {name.partition(".")[0] for name in DECLARED["packages"]}
FILES = [
    file
    for top in TOPS
    for file in (ROOT / top).rglob("*")
    if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
]


def test_every_package_is_shipped():
    there = {".".join(file.parent.relative_to(ROOT).parts) for file in FILES if file.suffix == ".py"}
    assert sorted(there) == sorted(DECLARED["packages"])


def test_every_file_of_data_is_shipped():
    data = {
        file for file in FILES if file.suffix not in {".py", ".mako"}
    }  # new steps are written in a checkout
    shipped = {
        file
        for package, patterns in DECLARED["package-data"].items()
        for name in (DECLARED["packages"] if package == "*" else [package])
        for pattern in patterns
        for file in (ROOT / name.replace(".", "/")).glob(pattern)
    }
    assert sorted(data - shipped) == []
