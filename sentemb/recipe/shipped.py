"""The recipes that come with sentemb, by name, and what their headers say."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def folder() -> Path:
    """Where the shipped recipes are: inside an installed wheel, or in the repository."""
    installed = _PACKAGE / "shipped" / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parent / "recipes"


def files() -> dict[str, Path]:
    """Name → file, sorted; the name is the path below the folder without its ending: `simcse/wiki1m-bert-base`."""
    found = sorted(folder().rglob("*.yaml"))
    return {file.relative_to(folder()).with_suffix("").as_posix(): file for file in found}


def name_of(file: Path) -> str:
    """The name of a recipe file: as listed if it is a shipped one, else the file's own name without its ending."""
    resolved, home = file.resolve(), folder().resolve()
    if resolved.is_relative_to(home):
        return resolved.relative_to(home).with_suffix("").as_posix()
    return file.stem


def header(file: Path) -> dict[str, str]:
    """The comment at the top of a recipe, as its fields: `# Expected: …`, continued on indented lines.

    Lines before the first field are under `""`.
    """
    fields: dict[str, str] = {}
    name = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").removeprefix(" ")
        head, colon, rest = text.partition(":")
        if colon and head.isalpha() and text == text.lstrip():
            name, text = head, rest
        fields[name] = f"{fields.get(name, '')} {text.strip()}".strip()
    return fields
