"""Reporters: each consumes Notices and writes one format."""
