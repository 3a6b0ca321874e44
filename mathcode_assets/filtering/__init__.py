"""fastText classifiers: seed examples, training, scoring, and the formula features that may join them."""
