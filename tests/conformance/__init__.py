"""What every implementation of a port must do."""

import pytest

pytest.register_assert_rewrite("tests.conformance.entity_types")
