"""The way of one document through every table of the lake."""
