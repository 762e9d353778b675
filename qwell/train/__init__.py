"""Learning from a store: streaming, training, evaluation. Imports no generator."""
