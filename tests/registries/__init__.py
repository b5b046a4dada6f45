"""Real registries under the clouds' host names, and a real client: Debian's docker-registry and skopeo."""
