"""Re-implementations of the contract that are wrong in exactly one place each."""
