"""Checks of what `deploy/` renders to. A check yields problems, each a sentence that names the place and the remedy."""
