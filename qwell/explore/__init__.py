"""The page in the browser: a thin server over functions of other rooms, and the page itself in `static/`."""
