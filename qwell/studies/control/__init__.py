"""Control: the drive that takes a wave packet where it is wanted, by gradients of exact or emulated motion."""
