"""The Kubernetes API: the only place that imports the kubernetes package."""
