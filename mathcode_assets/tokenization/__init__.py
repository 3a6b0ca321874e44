"""Documents to token ids, and ids to packed training sequences."""
