"""Any sequence of updates equals a plain model, and what is refused changes nothing."""

from hypothesis import settings

from tests.unit.aggregate_machine import AggregateMachine

TestAnAggregateIsAsAPlainModelSays = AggregateMachine.TestCase
TestAnAggregateIsAsAPlainModelSays.settings = settings(max_examples=100, stateful_step_count=30)
