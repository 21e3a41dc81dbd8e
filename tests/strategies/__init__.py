"""Tests of how Cases are drawn."""
