"""What a filter answers to a system call for all of its arguments: the ways through the program, and which arguments go each.

The answer is that of the program and not of the profile: it has in it what libseccomp makes of rules that contradict each other,
or of a large number on a 32-bit architecture.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

from pyoci.seccomp import bpf

_WORDS = (
    16  # of struct seccomp_data: number, architecture, two of the instruction pointer, two of each argument
)
_FIRST_ARGUMENT = 4
_BITS = 32
_LARGEST = (1 << _BITS) - 1
_EFFORT = 300_000  # instructions: about a second
_SEARCH = 20  # what a search for a word costs in instructions, for each test
_MOST_STATES = 1000


class Test(NamedTuple):
    """A test of one word: under the mask it lies between two numbers, or (not inside) it does not."""

    mask: int
    low: int
    high: int
    inside: bool = True


Tests = tuple[Test, ...]
Conditions = tuple[Tests, ...]  # for each word of struct seccomp_data the tests that it passes
ANY_ARGUMENTS: Conditions = ((),) * _WORDS


class TooManyPaths(Exception):
    """The conditions are too many to be told apart."""


class Effort:
    """What may be spent on one question: profiles of strangers have as many conditions as they like."""

    def __init__(self) -> None:
        self.left = _EFFORT

    def spend(self, amount: int) -> None:
        """Raises TooManyPaths."""
        self.left -= amount
        if self.left < 0:
            raise TooManyPaths


class _State(NamedTuple):
    """Before an instruction: the accumulator is a number, or (word >= 0) a word of the arguments under a mask."""

    at: int
    word: int
    value: int
    conditions: Conditions


def paths(
    program: bytes, number: int, arch: int, effort: Effort, conditions: Conditions = ANY_ARGUMENTS
) -> Iterator[tuple[Conditions, int]]:
    """Each way that some arguments take: the conditions on them and the filter's return value.

    conditions  that the arguments fulfil
    Raises TooManyPaths.
    """
    code = _instructions(program)
    known = {bpf.NUMBER_AT >> 2: number & _LARGEST, bpf.ARCH_AT >> 2: arch & _LARGEST}
    waiting = [_State(0, -1, 0, conditions)]
    while waiting:
        at, word, value, conditions = waiting.pop()
        effort.spend(1)
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == bpf.RETURN:
            yield conditions, constant
        elif operation == bpf.LOAD:
            index = constant >> 2
            word, value = (-1, known[index]) if index in known else (index, _LARGEST)
            waiting.append(_State(at, word, value, conditions))
        elif operation == bpf.AND:
            waiting.append(_State(at, word, value & constant, conditions))
        elif operation == bpf.JUMP:
            waiting.append(_State(at + constant, word, value, conditions))
        else:
            test = _test(operation, value if word >= 0 else _LARGEST, constant)
            if word < 0:
                at += if_true if _passes(test, value) else if_false
                waiting.append(_State(at, word, value, conditions))
                continue
            for answer, jump in ((test._replace(inside=not test.inside), if_false), (test, if_true)):
                tests = _with(conditions[word], answer)
                if not _is_simple(tests):
                    effort.spend(_SEARCH * len(tests))
                if solve(tests) is not None:
                    narrowed = (*conditions[:word], tests, *conditions[word + 1 :])
                    waiting.append(_State(at + jump, word, value, narrowed))


@functools.cache
def _instructions(program: bytes) -> list[tuple[int, int, int, int]]:
    return bpf.instructions(program)


def _test(operation: int, mask: int, constant: int) -> Test:
    """A conditional jump as a test of a word under a mask."""
    if operation == bpf.EQUAL:
        return Test(mask, constant, constant)
    if operation == bpf.ABOVE:
        return Test(mask, 0, constant, inside=False)
    if operation == bpf.AT_LEAST:
        return Test(mask, constant, _LARGEST)
    if operation == bpf.ANY_BIT:
        return Test(mask & constant, 0, 0, inside=False)
    raise AssertionError(f"BPF operation {operation:#x}")


def _passes(test: Test, value: int) -> bool:
    return (test.low <= value & test.mask <= test.high) == test.inside


def _with(tests: Tests, test: Test) -> Tests:
    if test in tests:
        return tests
    if _is_number(test) and all(_passes(other, test.low) for other in tests):
        return (test,)
    return (*tests, test)


def _is_number(test: Test) -> bool:
    """Whether only one word passes a test."""
    return test.inside and test.low == test.high and test.mask == _LARGEST


def _is_simple(tests: Tests) -> bool:
    """Whether solve() has little to do: one test is of a number, or the last one changes nothing."""
    least = solve(tests[:-1])
    return least is None or _passes(tests[-1], least) or any(map(_is_number, tests))


@functools.cache
def solve(tests: Tests) -> int | None:
    """The least word that passes all tests, None where there is none. Raises TooManyPaths."""
    if not tests:
        return 0
    least = solve(tests[:-1])
    if least is None or _passes(tests[-1], least):
        return least
    for test in tests:
        if _is_number(test):
            return test.low if all(_passes(other, test.low) for other in tests) else None
    return _search(tests)


def _search(tests: Tests) -> int | None:
    """The same in general.

    Goes through the bits from the highest on, with all that matters of those before: for each test on which side of its two
    numbers the word is by now.
    """
    states: dict[tuple[tuple[int, int], ...], int] = {((0, 0),) * len(tests): 0}
    for bit in reversed(range(_BITS)):
        following: dict[tuple[tuple[int, int], ...], int] = {}
        for sides, prefix in states.items():
            for digit in (0, 1):
                new = tuple(_sides(test, side, bit, digit) for test, side in zip(tests, sides, strict=True))
                if all(map(_may_pass, tests, new)):
                    word = prefix << 1 | digit
                    following[new] = min(word, following.get(new, word))
        if len(following) > _MOST_STATES:
            raise TooManyPaths
        states = following
    found = [
        word
        for sides, word in states.items()
        if all(test.inside or low < 0 or high > 0 for test, (low, high) in zip(tests, sides, strict=True))
    ]
    return min(found, default=None)


def _may_pass(test: Test, sides: tuple[int, int]) -> bool:
    """Whether some word with such a beginning passes a test."""
    return not test.inside or (sides[0] >= 0 and sides[1] <= 0)


def _sides(test: Test, sides: tuple[int, int], bit: int, digit: int) -> tuple[int, int]:
    """On which side (-1, 0 for equal so far, 1) of a test's two numbers the word is with one more bit."""
    own = test.mask >> bit & digit
    low, high = sides
    return low or own - (test.low >> bit & 1), high or own - (test.high >> bit & 1)


def example(conditions: Conditions) -> list[int]:
    """Arguments that fulfil conditions, as far as these go: the least ones."""
    words = [solve(tests) or 0 for tests in conditions[_FIRST_ARGUMENT:]]
    last = max((at for at, tests in enumerate(conditions[_FIRST_ARGUMENT:]) if tests), default=-1)
    return [words[at] | words[at + 1] << _BITS for at in range(0, last + 1, 2)]
