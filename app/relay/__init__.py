"""A holder's body to the client: constant memory, on to the next holder at the same byte when one breaks."""
