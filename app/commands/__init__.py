"""What each command of `rykte` does. They import what they need when they run: see `app/cli.py`."""
