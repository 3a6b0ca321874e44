"""One Generator protocol for language models, and its backends."""
