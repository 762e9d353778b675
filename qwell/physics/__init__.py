"""The physics that making and learning both know: one formula in one place. A leaf."""
