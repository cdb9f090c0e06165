"""`python -P -m skybench`; -P keeps the working folder's own `datasets` out of the way."""

from skybench.cli.app import main

main()
