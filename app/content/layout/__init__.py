"""An OCI image layout directory as a content store: no daemon."""
