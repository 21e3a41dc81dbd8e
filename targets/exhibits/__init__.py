"""Deliberately bad handlers, each named after the invariant it breaks, each beside a repaired twin."""
