"""Tests: a mirror of rotator/, with conformance/ for every provider and cluster, and scenarios/ end to end."""
