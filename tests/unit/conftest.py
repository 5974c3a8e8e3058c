"""Unit tests need nothing but Python, so Hypothesis may take its time on a slow machine."""

from hypothesis import settings

settings.register_profile("featom", deadline=None, max_examples=100)
settings.load_profile("featom")
