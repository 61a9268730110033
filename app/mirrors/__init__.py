"""containerd's hosts.toml: our mirror entries go in, and what stood there comes back byte for byte."""
