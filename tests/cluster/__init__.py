"""The Kubernetes API client, against loopback servers."""
