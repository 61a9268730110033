"""The process: gunicorn's master, our worker, and the listeners that speak HTTP to clients."""
