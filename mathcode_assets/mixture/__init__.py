"""From clean documents to the pile: weights, caps, data card, export."""
