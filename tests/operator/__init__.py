"""What the Prometheus operator takes: its definitions are fetched, and `go.mod` pins their version."""
