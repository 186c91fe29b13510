"""A YAML text as plain values that know their lines, and `--set a.b=v` laid over them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from sentemb.errors import ConfigError, ConfigErrors, shortened

KeyPath = tuple[str | int, ...]
"""`("stages", 0, "train", "seed")`; written `stages.0.train.seed`."""

_MAX_NODES = 20_000
_AFTER_THE_FILE = 1_000_000_000
_TAG = "tag:yaml.org,2002:"
_NO_TEXT = re.compile("[\\0\ud800-\udfff]")


class Place(NamedTuple):
    """Where a value was given; sorts by line, the file before the overrides."""

    order: int
    text: str


class Finding(NamedTuple):
    """One mistake in a document."""

    place: Place
    path: KeyPath
    problem: str
    remedy: str

    def error(self) -> ConfigError:
        """The message: `place: key.path: problem. Remedy.` in full."""
        key = written(self.path)
        return ConfigError(self.place.text, f"{key}: {self.problem}" if key else self.problem, self.remedy)


@dataclass
class Document:
    """The plain values of a recipe, where each was given, and what is wrong so far."""

    value: dict[str, Any]
    places: dict[KeyPath, Place]
    findings: list[Finding] = field(default_factory=list)

    def place(self, path: KeyPath) -> Place:
        """Where the value at `path`, or the nearest block around it, was given."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def find(self, path: KeyPath, problem: str, remedy: str) -> None:
        """Notes a mistake at `path`."""
        self.findings.append(Finding(self.place(path), path, problem, remedy))

    def raise_findings(self) -> None:
        """Raises all that was found, in the order of the lines.

        Raises:
            ConfigErrors: something was found.
        """
        if self.findings:
            raise ConfigErrors(finding.error() for finding in sorted(self.findings, key=lambda finding: finding.place))


def written(path: KeyPath) -> str:
    """A key path as `--set` takes it.

    >>> written(("stages", 0, "train", "seed"))
    'stages.0.train.seed'
    """
    return ".".join(str(part) for part in path)


def parse(text: str, file: str) -> Document:
    """Reads a recipe as `yaml.safe_load` would, but keeps the lines.

    Also refuses keys given twice and merge keys (`<<`), and leaves a date as the text it is.

    Raises:
        ConfigErrors: not YAML, empty, or not a block of settings. Keys given twice are noted in the document.
    """
    builder = _Builder({(): Place(1, f"{file}:1")}, file)
    value = _build(text, builder, ())
    if value is None:
        remedy = 'Write a recipe; "sentemb recipes show quickstart" is one'
        raise ConfigErrors([ConfigError(file, "the file is empty", remedy)])
    if not isinstance(value, dict):
        problem = f"a recipe is a block of settings (key: value), not {shortened(value)}"
        raise ConfigErrors([ConfigError(f"{file}:1", problem, "Begin with encoder:, method: and data:")])
    return Document(value, builder.places, builder.findings)


def override(document: Document, setting: str, number: int) -> None:
    """Lays one `a.b=v` over the document; `v` is YAML. Makes the blocks on the way if they are missing.

    A setting that can't be used is noted in the document.
    """
    place = Place(_AFTER_THE_FILE + number, " ".join(f"--set {setting}".split()))
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        problem = "not of the form key.path=value"
        document.findings.append(Finding(place, (), problem, "Write it as in --set train.seed=1"))
        return
    container: Any = document.value
    path: KeyPath = ()
    for part in parts[:-1]:
        step = _step(document, container, path, part, place)
        if step is None:
            return
        path = (*path, step)
        if isinstance(container, dict) and container.get(step) is None:
            container[step] = {}
            document.places[path] = place
        container = container[step]
    last = _step(document, container, path, parts[-1], place)
    if last is None:
        return
    path = (*path, last)
    builder = _Builder({(): place}, None)
    try:
        value = _build(text, builder, path)
    except ConfigErrors as error:
        document.findings.extend(Finding(place, path, each.problem, each.remedy) for each in error.errors)
        return
    for old in [old for old in document.places if old[: len(path)] == path]:
        del document.places[old]
    container[last] = value
    document.places[path] = place
    document.findings.extend(builder.findings)


def _step(document: Document, container: Any, path: KeyPath, part: str, place: Place) -> str | int | None:
    """The key or index that `part` means in `container`; None, with a finding, when it can't mean any."""
    if isinstance(container, dict):
        return part
    if isinstance(container, list):
        if part.isdecimal() and int(part) < len(container):
            return int(part)
        problem = f"{shortened(part)} is no item of the list {written(path)}"
        remedy = f"Give a number from 0 to {len(container) - 1}" if container else "The list is empty; give it whole"
    else:
        problem = f"{written(path)} is {shortened(container)}, not a block, so it has no key {shortened(part)}"
        remedy = "Correct the key path; sentemb recipes show NAME --resolved lists them all"
    document.findings.append(Finding(place, (), problem, remedy))
    return None


def _build(text: str, builder: _Builder, path: KeyPath) -> Any:
    """The plain value of a YAML text. What makes the whole text unreadable is raised as `ConfigErrors`."""
    remedy = "Correct the line"
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else builder.value(loader, node, path)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "it can't be read"
        place = builder.place(mark.line + 1 if mark else 1).text
        if isinstance(error, (yaml.scanner.ScannerError, yaml.parser.ParserError)):
            remedy = "Correct the line; a text with : # { [ ' or a tab in it goes into quotes"
    except yaml.reader.ReaderError as error:
        problem = f"the character U+{error.character:04X} is not allowed"
        place = builder.place(text.count("\n", 0, error.position) + 1).text
    except RecursionError:
        problem, place = "blocks inside blocks without end", builder.place(1).text
    raise ConfigErrors([ConfigError(place, f"not valid YAML: {problem}", remedy)])


class _Builder:
    """Plain values from YAML nodes. Notes the line of each key in `places`, or one place for all if `file` is None."""

    def __init__(self, places: dict[KeyPath, Place], file: str | None) -> None:
        self.places, self.file = places, file
        self.findings: list[Finding] = []
        self._count = 0

    def place(self, line: int) -> Place:
        """The place of a line, from 1."""
        return self.places[()] if self.file is None else Place(line, f"{self.file}:{line}")

    def value(self, loader: yaml.SafeLoader, node: yaml.Node, path: KeyPath) -> Any:
        """The value of a node, with everything in it.

        Raises:
            yaml.MarkedYAMLError: a tag that recipes don't use, a broken scalar, or too many values (endless aliases).
        """
        self._count += 1
        if self._count > _MAX_NODES:
            raise _refused(node, "far too many values, or an alias inside itself")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(loader, node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._item(loader, item, (*path, index)) for index, item in enumerate(node.value)]
        kind = node.tag.removeprefix(_TAG)
        if kind == "timestamp":  # no setting is a date: it is text
            return node.value
        if kind not in ("str", "int", "float", "bool", "null"):
            raise _refused(node, f"recipes have no use for the tag {node.tag}")
        try:
            value = loader.construct_object(node)
        except ValueError as error:
            raise _refused(node, f"{shortened(node.value)} is no {kind}") from error
        if isinstance(value, str) and _NO_TEXT.search(value):
            raise _refused(node, "a zero or half a surrogate pair is no character")
        return value

    def _item(self, loader: yaml.SafeLoader, node: yaml.Node, path: KeyPath) -> Any:
        self.places[path] = self.place(node.start_mark.line + 1)
        return self.value(loader, node, path)

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        block: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = self.place(key_node.start_mark.line + 1)
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            if key_node.tag != f"{_TAG}str":
                problem = f"the key {shortened(key)} is not text" if key else "a key is not text"
                remedy = "Use the name of a setting; recipes have no merge keys (<<)"
                self.findings.append(Finding(place, path, problem, remedy))
            elif key in block:
                problem = f"given twice, first at {self.places[(*path, key)].text}"
                self.findings.append(Finding(place, (*path, key), problem, "Remove one of the two"))
            else:
                self.places[(*path, key)] = place
                block[key] = self.value(loader, value_node, (*path, key))
        return block


def _refused(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
