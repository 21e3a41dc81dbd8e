"""The core: what a Case is, how it is played, what was recorded, and how it is judged.

Nothing here knows a framework.
"""
