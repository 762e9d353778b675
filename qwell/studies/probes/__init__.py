"""What a trained network is asked (spectra paper, §3): one experiment a file, each returning a `Finding`."""
