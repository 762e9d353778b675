"""The zoo of networks. A leaf: it knows torch and no files but its own weights."""
