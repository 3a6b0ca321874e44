"""Which copy of a text stays, across all components."""
