"""The corpus components of the paper: one module for each filter that decides what a source keeps."""
