"""The invariants: one decorated pure function each, in one file an area. Importing this package registers them all."""
