"""``python -m beliefbench`` is the command ``beliefbench``."""

from beliefbench.cli.main import main

if __name__ == "__main__":
    main()
