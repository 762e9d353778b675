"""The two commands, `qdata` and `qtrain`. Thin: options, one call into the library, the printed answer."""
