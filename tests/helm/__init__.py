"""Helm, built from source: the folder is a Go module too, whose `go.mod` pins the version."""
