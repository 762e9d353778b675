"""Control: the drive that takes a wave packet where it is wanted, by gradients through its motion."""
