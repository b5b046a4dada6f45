"""Tests of the pure parts of the pass; the pass itself is in tests/scenarios/."""
