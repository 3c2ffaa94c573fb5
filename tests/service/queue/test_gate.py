import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.queue.gate import Gate


class Visitor:
    """A job that goes through a gate and stays inside until it is told to leave."""

    def __init__(self, gate: Gate, suspect: bool = False):
        self.inside = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate, suspect))

    async def _visit(self, gate: Gate, suspect: bool) -> None:
        async with gate.passage(suspect):
            self.inside = True
            await self._leave.wait()
        self.inside = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task
        await settle()


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())


def test_as_many_as_the_capacity_are_inside_first_come_first_served() -> None:
    async def scenario() -> None:
        gate = Gate(2)
        visitors = [Visitor(gate) for _ in range(4)]
        await settle()
        assert [visitor.inside for visitor in visitors] == [True, True, False, False]
        await visitors[1].leave()
        assert [visitor.inside for visitor in visitors] == [True, False, True, False]
        await visitors[0].leave()
        assert [visitor.inside for visitor in visitors] == [False, False, True, True]

    run(scenario)


def test_a_suspect_is_alone_and_neither_starves_nor_is_overtaken() -> None:
    async def scenario() -> None:
        gate = Gate(4)
        first, suspect, second, after = Visitor(gate), Visitor(gate, True), Visitor(gate, True), Visitor(gate)
        everyone = [first, suspect, second, after]
        await settle()
        assert [visitor.inside for visitor in everyone] == [True, False, False, False]
        for leaving, entering in ((first, suspect), (suspect, second), (second, after)):
            await leaving.leave()
            assert [visitor for visitor in everyone if visitor.inside] == [entering]
        await after.leave()
        assert gate.is_empty

    run(scenario)


def test_who_gives_up_waiting_makes_way() -> None:
    async def scenario() -> None:
        gate = Gate(4)
        first, suspect, after = Visitor(gate), Visitor(gate, True), Visitor(gate)
        await settle()
        suspect.task.cancel()
        await settle()
        assert suspect.task.cancelled() and not suspect.inside and after.inside
        first.task.cancel()  # so does who is cancelled inside
        await settle()
        late = Visitor(gate, True)
        await after.leave()
        assert late.inside

    run(scenario)


def test_who_is_cancelled_in_the_moment_of_admission_takes_no_place() -> None:
    async def scenario() -> None:
        gate = Gate(1)
        first, second, third = Visitor(gate), Visitor(gate), Visitor(gate)
        await settle()
        first._leave.set()
        while not gate._waiting[0][0].done() and len(gate._waiting) == 2:
            await asyncio.sleep(0)
        second.task.cancel()  # admitted, but it does not know yet
        await settle()
        assert third.inside and not second.inside

    run(scenario)


def test_a_closed_gate_lets_nobody_in() -> None:
    async def scenario() -> None:
        gate = Gate(1)
        first, waiting = Visitor(gate), Visitor(gate)
        await settle()
        gate.close()
        await first.leave()
        assert waiting.task.cancelled()
        with pytest.raises(asyncio.CancelledError):
            async with gate.passage(False):
                raise AssertionError("nobody may be here")
        assert gate.is_empty

    run(scenario)
