"""The options of `rykte serve`: told once, parsed together, checked together."""
