"""How Cases are drawn: one description of the traffic, two drivers that draw it."""
