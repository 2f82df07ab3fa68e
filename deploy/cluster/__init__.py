"""`make test-cluster`: deploy/ on a real Kubernetes, from Debian's packages and Go modules."""
