"""Are the numbers of a data set right? One file a kind."""
