"""Evidence of a run: hashes of its inputs and outputs, requirements, and earlier requests. Needs no torch."""
