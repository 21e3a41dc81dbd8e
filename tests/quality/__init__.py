"""Tests of how well bugs are found and shrunk."""
