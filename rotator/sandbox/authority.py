"""A private certificate authority, so that emulated servers can answer to the real host names over TLS."""

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class KeyPair:
    """An RSA private key and its certificate, as PEM: how an application outside its cloud proves who it is."""

    private_key: str
    certificate: str


class Authority:
    """Issues server certificates on demand; a client that trusts `ca_pem` trusts them all.

    trustme adds the subject and authority key identifiers that Python 3.13 insists on (ssl.VERIFY_X509_STRICT).
    """

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self.ca_pem: bytes = self._ca.cert_pem.bytes()

    def context(self, *hostnames: str) -> ssl.SSLContext:
        """The server side's TLS settings with one certificate for these names or addresses; made once."""
        with self._lock:
            if hostnames not in self._contexts:
                self._contexts[hostnames] = self._issue(hostnames)
            return self._contexts[hostnames]

    def _issue(self, hostnames: tuple[str, ...]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*hostnames).configure_cert(context)
        return context

    def key_pair(self, name: str) -> KeyPair:
        """A new key pair for an application."""
        issued = self._ca.issue_cert(name, key_type=trustme.KeyType.RSA)
        return KeyPair(issued.private_key_pem.bytes().decode(), issued.cert_chain_pems[0].bytes().decode())

    def write(self, path: Path) -> Path:
        """Write the authority's certificate as PEM and return the path."""
        path.write_bytes(self.ca_pem)
        return path
