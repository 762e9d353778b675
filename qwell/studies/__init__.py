"""What is asked of networks and states: experiments, solvers, and the answers they give."""
