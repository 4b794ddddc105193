"""The benchmarks: that they measure, and that their peers are told apart."""
