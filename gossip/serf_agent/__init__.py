"""The second engine: a stock Serf agent, asked over its RPC, as a `Membership`. See docs/decisions/0005."""
