"""Reading what the other functions wrote: search, pages of the catalog, and the API. Nothing here writes a table."""
