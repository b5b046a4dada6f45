"""rotator keeps the image pull Secrets of a Kubernetes cluster fresh, in place."""

__version__ = "0.1.0"
