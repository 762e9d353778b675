"""The papers, done again: one file a paper, with how large, what to run, and what the paper states."""
