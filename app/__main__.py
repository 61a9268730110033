"""`python -m app` is the command `rykte`."""

from app.cli import main

main()
