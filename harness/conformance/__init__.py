"""Whether an implementation of the contract keeps it: named sub-checks, with probe handlers on its own classes."""
