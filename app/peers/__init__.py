"""HTTP between mirrors, the asking side: kept-alive connections, bounded pools, every error mapped once."""
