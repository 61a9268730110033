"""The registry's HTTP interface: a request is parsed once, asked of the sources in order, and answered."""
