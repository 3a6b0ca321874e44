"""The nodes of the graph, a module for each part of it. Every module lists its own as ASSETS."""
