"""The kinds of Event, one module for each part of the contract; `vocabulary.KINDS` is all of them."""
