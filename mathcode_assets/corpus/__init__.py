"""The components of MathCode-Pile that come from a source: what is kept, and why."""
