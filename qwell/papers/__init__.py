"""The five source papers done again: one file a paper, with its scales, stages and claims."""
