"""The AudioSet ontology: which classes of a data set are above and below one another."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from config import UserError

ABSTRACT = ["abstract"]  # the restrictions of a node that only groups others


def relatives(path: Path, classes: Sequence[str]) -> dict[str, set[str]]:
    """Class -> its direct children and all its ancestors, over every parent, among the `classes`.

    `path` is AudioSet's ontology.json; a class is the node of the same `simplified` name, and left
    out where there is none. An abstract node may be a child, but has no relatives: a line of
    ancestors ends below it, as in the public code of PSLA. Raises UserError for another file, and
    where no class has a node.
    """
    nodes = read_nodes(path)
    ids = {simplified(node["name"]): node["id"] for node in nodes}
    node_of = {name: ids[key] for name in classes if (key := simplified(name)) in ids}
    if not node_of:
        raise UserError(
            f"{path}: has none of the {len(classes)} classes, the first is {classes[0]!r}"
        )
    children = {
        node["id"]: set(node["child_ids"]) for node in nodes if node["restrictions"] != ABSTRACT
    }
    parents = defaultdict(set)
    for parent, below in children.items():
        for child in below:
            parents[child].add(parent)
    found = {}
    for name, node in node_of.items():
        related = children[node] | ancestors(node, parents) if node in children else set()
        found[name] = {other for other in node_of if other != name and node_of[other] in related}
    return found


def ancestors(node: str, parents: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    rest = [node]
    while rest:
        above = set(parents.get(rest.pop(), ())) - found
        found |= above
        rest += above
    return found


def simplified(name: str) -> str:
    """The words in lower case, without punctuation and `and`, as FSD50K's Chirp_and_tweet is
    AudioSet's Chirp, tweet.
    """
    words = re.findall(r"\w+", name.casefold().replace("_", " "))
    return " ".join(word for word in words if word != "and")


def read_nodes(path: Path) -> list[dict]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected AudioSet's ontology.json")
    try:
        nodes = json.loads(path.read_text("utf-8"))
    except ValueError:
        nodes = None
    keys = {"id", "name", "child_ids", "restrictions"}
    if not isinstance(nodes, list) or not all(
        isinstance(node, dict) and keys <= node.keys() for node in nodes
    ):
        raise UserError(f"{path}: is not an ontology; expected AudioSet's ontology.json")
    return nodes
