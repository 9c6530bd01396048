"""A YAML file as plain data in which every scalar is its text, with the place of every key.

Belongs here: syntax, duplicate keys, line numbers. Not here: what a key means. Scalars stay text because the schema,
not their look, says what they are: a column may be called `1`, a status word `no`, a time 06:00.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cvm_pipeline.config.errors import Mistake

Loc = tuple[str | int, ...]
_NULL = "tag:yaml.org,2002:null"


@dataclass
class Tree:
    """The data of a file, the place (line, column; 1-based) of each of its keys, and what its syntax got wrong."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, loc: Loc) -> tuple[int, int]:
        """Where a key stands; where it is missing, its section's place."""
        while loc and loc not in self.places:
            loc = loc[:-1]
        return self.places.get(loc, (1, 1))

    def mistake(self, loc: Loc, what: str, hint: str = "") -> Mistake:
        """A mistake at a key."""
        return Mistake(*self.place(loc), spell(loc), what, hint)


def spell(loc: Loc) -> str:
    """A key as a person writes it: `sources[0].columns.ordered_at`."""
    spelt = ""
    for part in loc:
        spelt += f"[{part}]" if isinstance(part, int) else f".{part}" if spelt else part
    return spelt


def read_tree(content: bytes) -> Tree:
    """Parse a configuration file. Syntax errors and duplicate keys are in `mistakes`; nothing is raised."""
    tree = Tree()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        tree.mistakes.append(Mistake(line, column, "", "the file is not UTF-8", "save it as UTF-8"))
        return tree
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        tree.mistakes.append(
            Mistake(line, column, "", f"not valid YAML: {error.problem or error.context}", _hint(error))
        )
        return tree
    except YAMLError as error:
        tree.mistakes.append(Mistake(1, 1, "", f"not valid YAML: {str(error).splitlines()[0]}"))
        return tree
    if root is None:
        tree.mistakes.append(Mistake(1, 1, "", "the file is empty", "write one with: cvm init DIR"))
    elif not isinstance(root, MappingNode):
        tree.mistakes.append(Mistake(1, 1, "", "the file must hold keys such as `sources:`"))
    else:
        tree.data = _mapping(root, (), tree, ())
    return tree


def _hint(error: MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "\\t" in problem:
        return "indent with spaces, not tabs"
    if "mapping values are not allowed" in problem:
        return "a text that holds `: ` needs quotes"
    if "found character" in problem:
        return "a text that begins with this character needs quotes"
    return ""


def _value(node: Node, loc: Loc, tree: Tree, above: tuple[Node, ...]) -> Any:
    if any(node is upper for upper in above):
        tree.mistakes.append(tree.mistake(loc, "this alias holds itself"))
        return None
    if isinstance(node, MappingNode):
        return _mapping(node, loc, tree, (*above, node))
    if isinstance(node, SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            tree.places[(*loc, index)] = _mark(item)
            items.append(_value(item, (*loc, index), tree, (*above, node)))
        return items
    assert isinstance(node, ScalarNode)
    return None if str(node.tag) == _NULL else str(node.value)


def _mapping(node: MappingNode, loc: Loc, tree: Tree, above: tuple[Node, ...]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, ScalarNode):
            tree.mistakes.append(Mistake(*_mark(key_node), spell(loc), "a key must be a text"))
            continue
        key = str(key_node.value)
        if key in seen:
            spelt = spell((*loc, key))
            tree.mistakes.append(
                Mistake(*_mark(key_node), spelt, "is given twice", f"it stands on line {seen[key]} too")
            )
            continue
        seen[key] = _mark(key_node)[0]
        tree.places[(*loc, key)] = _mark(key_node)
        value = _value(value_node, (*loc, key), tree, above)
        # A key that is left empty is a key that is not given: a section whose lines are all commented out.
        if value is not None:
            data[key] = value
    return data


def _mark(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
