"""Model-translated mathematical code: passages, prompts, extraction, pairing (paper section 2)."""
