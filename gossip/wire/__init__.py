"""Bytes to messages and back, as memberlist and Serf write them; pure functions."""
