"""Adapters that host one handler under one kind of server and record what happens to it."""
