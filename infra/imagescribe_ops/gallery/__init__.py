"""The gallery: a page on this machine that shows a stack's pictures with the user's own credentials."""
