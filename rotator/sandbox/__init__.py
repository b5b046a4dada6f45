"""An emulated cluster, clouds, registries and worker Pods on loopback: for `rotator demo` and the tests."""
