"""Pure kernels on text: normalisation, n-gram hashing, token counts."""
