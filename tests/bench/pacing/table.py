"""One DynamoDB item that carries out the update expressions which `imagescribe.pacing` writes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache

from imagescribe.pacing import Change, State

type Term = tuple[str, ...]
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    ">": operator.gt,
}


@cache
def assignments(update: str) -> tuple[tuple[str, Term], ...]:
    """Read `SET a = b + :c, d = :e`: what is set, and the operands that are added up for it."""
    terms = (term.split(" = ") for term in update.removeprefix("SET ").split(", "))
    return tuple((name, tuple(value.split(" + "))) for name, value in terms)


@cache
def comparisons(condition: str) -> tuple[tuple[str, Callable[[float, float], bool], str], ...]:
    """Read `a >= :b AND c < d`."""
    return tuple(
        (left, COMPARE[sign], right) for left, sign, right in (term.split(" ") for term in condition.split(" AND "))
    )


class Item:
    """The meter's item; every update is atomic, as in DynamoDB: operands are the values before it."""

    def __init__(self, state: State) -> None:
        self.attributes: dict[str, float] = asdict(state)
        self.updates = 0
        self.failed = 0

    def read(self) -> State:
        return State(**self.attributes)  # type: ignore[arg-type]  # counters stay whole, since only wholes are added

    def update(self, change: Change) -> tuple[State, bool]:
        """Return the item and whether the condition held: ALL_NEW where it did, ALL_OLD where not."""
        self.updates += 1
        known: Mapping[str, float] = {**self.attributes, **change.values}
        if not all(compare(known[left], known[right]) for left, compare, right in comparisons(change.condition)):
            self.failed += 1
            return self.read(), False
        used = {part for _, term in assignments(change.update) for part in term}
        used |= {part for left, _, right in comparisons(change.condition) for part in (left, right)}
        if unused := change.values.keys() - used:
            raise ValueError(f"DynamoDB refuses values that no expression uses: {sorted(unused)}")
        for name, term in assignments(change.update):
            self.attributes[name] = sum(known[part] for part in term)
        return self.read(), True
