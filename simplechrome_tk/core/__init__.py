"""Names of slots, requirements, and the checked view of an AnnData, for the other packages."""
