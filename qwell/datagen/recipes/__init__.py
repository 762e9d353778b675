"""What a data set is made of, as data: one file a kind."""
