"""Code using mathematics packages (MathCoder2 §2.2): StarCoder files that import one of five."""
