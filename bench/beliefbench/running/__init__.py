"""Running an agent on a domain: the harness, its store on disk, and the executors."""
