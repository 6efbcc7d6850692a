"""Parts of the provers that make SP1 proofs."""
