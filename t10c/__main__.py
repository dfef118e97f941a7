"""`python -m t10c`."""

from t10c.cli import main

main()
