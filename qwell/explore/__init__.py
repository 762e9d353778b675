"""The page in the browser: a thin server over functions of the other rooms, and the page itself in `static/`."""
