"""LaTeX mathematics: found in text, parsed, written as Python."""
