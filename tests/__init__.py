"""The proof: real servers, real processes, real signals."""
