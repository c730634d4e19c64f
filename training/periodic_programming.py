"""Arrays that hold the master copy for several updates before they are programmed again."""

from typing import Any

from numpy.random import Generator

from zerohm._arrays import Array

from ..crossbar import Ledger


class PeriodicProgramming:
    """The hardware of a run that programs it every so many steps.

    Parameters
    ----------
    network : what is programmed; it has ``prepared_near`` and ``program``.
    steps_per_programming : steps between programming events.
    steps_per_solution : steps between exact solutions of resistive wires, at the next programming
        event; in between, the circuit is taken to first order about the last one. 0 solves it at
        every programming event.
    copies : arrays that are programmed with the same weights.
    rng : source of all noise.
    """

    def __init__(
        self,
        network: Any,
        *,
        steps_per_programming: int,
        steps_per_solution: int,
        copies: int = 1,
        rng: Generator,
    ) -> None:
        self._network = network
        self._near = network
        self._period = steps_per_programming
        self._steps_per_solution = steps_per_solution
        self._copies = copies
        self._rng = rng
        self._next_solution = 0
        self._spent = Ledger()
        self._state: Any = None
        self.steps = 0

    @property
    def due(self) -> bool:
        """Whether the next step begins with a programming event."""
        return self.steps % self._period == 0

    @property
    def states(self) -> Any:
        """Programmed layers, as the last programming event has left them."""
        return self._state.states

    @property
    def ledger(self) -> Ledger:
        """What the hardware has done, in all programming events."""
        total = Ledger()
        total.add(self._spent)
        if self._state is not None:
            total.add(self._state.ledger)
        return total

    def program(self, parameters: Array) -> None:
        """Write parameters (d,) onto the arrays."""
        if self.steps >= self._next_solution:
            self._near = self._network.prepared_near(parameters)
            self._next_solution = self.steps + self._steps_per_solution
        self._spent = self.ledger
        self._state = self._near.program(parameters, rng=self._rng, copies=self._copies)
