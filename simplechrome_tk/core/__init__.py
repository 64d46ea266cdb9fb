"""The foundation of the other packages: names of slots, checks, and the checked view of an AnnData."""
