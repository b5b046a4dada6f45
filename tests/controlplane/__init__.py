"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager, built from source.

The folder is a Go module too: `go.mod` pins the versions, and `make controlplane` builds them once.
"""
