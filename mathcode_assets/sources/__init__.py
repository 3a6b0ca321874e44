"""Where documents, benchmark items and labels come from: listing, partitions, readers."""
