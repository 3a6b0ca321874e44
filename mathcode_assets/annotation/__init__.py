"""Questions put to a language model about a text, and tolerant parsers of the answers."""
