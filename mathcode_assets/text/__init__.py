"""Pure kernels over text: normalisation, n-gram hashing, token counts."""
