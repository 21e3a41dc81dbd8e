"""A budgeted run in phases: preflight, regressions, sweep, generate, shrink, confirm."""
