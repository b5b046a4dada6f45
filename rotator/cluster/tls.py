"""The certificates of a configuration: are they usable, and how strictly is the API server's verified?"""

import ssl

import urllib3
from kubernetes.client.configuration import Configuration


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


def verify_as_kubectl_does(manager: urllib3.PoolManager, configuration: Configuration) -> None:
    """Demand the authority and the name of the host, but not every formal rule of RFC 5280.

    From 3.13 on Python refuses a certificate without an authority key identifier ("ssl.create_default_context",
    docs.python.org). The API servers of EKS, among others, present such a one (awslabs/mcp 3791), and Go accepts it.
    """
    if not configuration.verify_ssl:
        return
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.ssl_ca_cert:
        context.load_default_certs()  # urllib3 does so for its own context only
    manager.connection_pool_kw["ssl_context"] = context
