"""The demonstration (`make run`) and one benchmark script per claim of the README."""
