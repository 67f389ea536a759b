"""JSON values with one of their parts replaced or left out."""

import copy

MISSING = object()


def changed(document: dict, path: tuple, value: object) -> dict:
    """A copy of a JSON object with one value replaced, or, where it is MISSING, left out."""
    copied = copy.deepcopy(document)
    inner = copied
    for step in path[:-1]:
        inner = inner[step]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copied
