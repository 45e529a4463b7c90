"""Evidence of a run: what it read and wrote, hashed again; what was required; earlier requests. Needs no torch."""
