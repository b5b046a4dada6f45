"""The certificates of a configuration: are they usable, and how strictly is the API server's verified?"""

import os
import ssl

import urllib3
from kubernetes.client.configuration import Configuration

RELAXED_TLS = "ROTATOR_RELAXED_TLS"
"""Environment variable. Set to 1: certificates are verified, but not held to every formal rule of RFC 5280.

From 3.13 on Python refuses a certificate without an authority key identifier; clusters present such certificates, and
kubectl accepts them. The kubernetes package has no switch for that.
"""


def certificate_problem(configuration: Configuration) -> str:
    """What is wrong with the certificate authority or the client's certificate; empty if they can be used.

    urllib3 would report both as a failure of the first request.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if configuration.ssl_ca_cert:
            context.load_verify_locations(configuration.ssl_ca_cert)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return "its certificate authority is no certificate in PEM"
    try:
        if configuration.cert_file:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(configuration.cert_file, configuration.key_file, password="")
    except (OSError, ValueError):
        return "its client certificate and key are no pair in PEM, or the key is encrypted"
    return ""


def relax(manager: urllib3.PoolManager, configuration: Configuration) -> None:
    """Verify less strictly if the environment says so; urllib3 otherwise does as this Python does by default."""
    if os.environ.get(RELAXED_TLS) != "1" or not configuration.verify_ssl:
        return
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.ssl_ca_cert:
        context.load_default_certs()  # urllib3 does so for its own context only
    manager.connection_pool_kw["ssl_context"] = context
