"""containerd as a content store: followed by its API, its events and its files."""
