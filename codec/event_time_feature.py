"""One feature as the operations on it make it in the order of their events."""

from typing import Final

from codec.features import decode_feature, encode_feature
from domain.change import Operand
from domain.event_order import Position, Run, Series
from domain.feature import Feature
from domain.operations import Append
from domain.timestamp import Timestamp
from domain.values import FeatureValue

_MEMORY: Final = 500
"""Of a feature, beside what it holds."""


class EventTimeFeature:
    """What operations up to a time make of a feature. They are added in the order of commits.

    The base is the newest set or removal; it stays encoded. A second pass begins with the base
    that the first one has found, and then nothing can be torn.
    """

    __slots__ = ("_base", "_encoded", "_in_series", "_operands", "_unknown_until", "is_torn")

    def __init__(self, before: "EventTimeFeature | None" = None) -> None:
        """`before` is of the first pass."""
        self._base: Position | None = None if before is None else before._base
        self._encoded = b""
        self._operands: Run | Series | None = None
        self._in_series: bool = before is not None and before._in_series
        self._unknown_until: Timestamp | None = None
        self.is_torn = False
        """Whether operands were put together that must be looked at apart."""

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        operands = 0 if self._operands is None else self._operands.size
        return _MEMORY + len(self._encoded) + operands

    def set(self, position: Position, encoded: bytes) -> bool:
        """Replace the value, or remove it (empty); False: something newer has done so."""
        if self._base is not None and position < self._base:
            return False
        self._base, self._encoded = position, encoded
        operands = self._operands
        if operands is None:
            return True
        if operands.last < position:
            self._operands = None
        elif isinstance(operands, Series):
            operands.rebase(self._base_value(), position)
        elif position < operands.first:
            operands.rebase(self._base_value())
        else:
            self.is_torn = True
        return True

    def add(self, position: Position, operand: Operand) -> bool:
        """Apply an operand; False: what it made was replaced later."""
        if self._base is not None and position < self._base:
            return False
        operands = self._operands
        if operands is None:
            series = self._in_series or isinstance(operand.operation, Append)
            self._operands = (Series if series else Run)(self._base_value(), position, operand)
        elif isinstance(operands, Run) and not operands.takes(operand):
            self.is_torn = self._in_series = True
        else:
            operands.add(position, operand)
        return True

    def note_unknown(self, event_time: Timestamp) -> None:
        """Something up to a time may have been another operation than the history says."""
        if self._unknown_until is None or event_time > self._unknown_until:
            self._unknown_until = event_time

    def result(self) -> tuple[bytes, bool]:
        """The feature, encoded (empty: there is none), and whether it is exactly that."""
        operands = self._operands
        if operands is None:
            return self._encoded, self._is_known
        value, fits = operands.result()
        if value is None:
            return b"", fits and self._is_known
        version = operands.version
        if self._encoded:
            version = max(version, decode_feature(self._encoded).version)
        feature = Feature(value, operands.last.event_time, version)
        return encode_feature(feature), fits and self._is_known

    @property
    def _is_known(self) -> bool:
        """Whether the base, and what is after it, were surely made as the history says."""
        unknown = self._unknown_until
        return unknown is None or (self._base is not None and unknown < self._base.event_time)

    def _base_value(self) -> FeatureValue | None:
        return decode_feature(self._encoded).value if self._encoded else None
