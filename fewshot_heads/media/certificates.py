"""The key and the certificates that sign Content Credentials: the user's own, or some made once on this computer.

A certificate that was made here says that two files come from one installation, and nothing about who owns it. Programs
that check credentials therefore call its signature valid, and the signer unknown.
"""

from __future__ import annotations

import datetime
import logging
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_heads.errors import BadInput, OutputError, first_line
from fewshot_heads.media.files import atomic_write, check_readable

if TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE_VARIABLE, KEY_VARIABLE = "FEWSHOT_HEADS_C2PA_CERTIFICATE", "FEWSHOT_HEADS_C2PA_KEY"  # paths of PEM files
FILE = "c2pa.pem"  # in the user's folder of settings: the key, then the certificates
VALIDITY_DAYS = 3650
_CERTIFICATES = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----\s*", re.DOTALL)
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SigningIdentity:
    """What signs.

    Attributes:
        certificates: PEM, the signer's first, then each one's issuer.
        key: PEM, PKCS 8, of the first certificate.
        algorithm: C2PA's name, such as "es256".
    """

    certificates: bytes
    key: bytes
    algorithm: str

    def __repr__(self) -> str:
        return f"SigningIdentity({self.algorithm})"  # never the key


def signing_identity() -> SigningIdentity | None:
    """Returns the user's identity if the environment names one, and else that of this installation.

    The first call makes the identity of the installation. It is readable for its user only. Where it cannot be kept,
    such as in a home folder that may not be written, the result is None after a warning.

    Raises:
        BadInput: if the files that the environment names cannot be used.
    """
    certificate, key = os.environ.get(CERTIFICATE_VARIABLE), os.environ.get(KEY_VARIABLE)
    if certificate or key:
        if not (certificate and key):
            raise BadInput(f"{CERTIFICATE_VARIABLE} and {KEY_VARIABLE}: got one of them, expected both or none")
        return _load(Path(certificate), Path(key))
    try:
        path = settings_folder() / FILE
        if not path.exists():
            _make(path)
    except (OSError, RuntimeError, OutputError) as error:
        _warn_of_lost_key(first_line(error))
        return None
    return _load(path, path)


@lru_cache  # once a process: a command asks for the identity before the work and as it signs
def _warn_of_lost_key(reason: str) -> None:
    logger.warning("no Content Credentials are written: the signing key cannot be kept (%s)", reason)


def settings_folder() -> Path:
    """Returns the folder of the user's settings. Raises RuntimeError for a user without a home folder."""
    roaming = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    return Path(roaming or Path.home() / ".config") / "fewshot_heads"


def _load(certificate_path: Path, key_path: Path) -> SigningIdentity:
    """Returns the identity in PEM files. Raises BadInput."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    for path in (certificate_path, key_path):
        check_readable(path)
    certificates = b"".join(_CERTIFICATES.findall(certificate_path.read_bytes()))
    found = _KEY.search(key_path.read_bytes())
    if not certificates:
        raise BadInput(f"{certificate_path}: holds no certificate; give a chain in PEM format, the signer's first")
    if not found:
        raise BadInput(f"{key_path}: holds no private key; give one in PEM format")
    try:
        key: Any = load_pem_private_key(found[0], password=None)
        signer = x509.load_pem_x509_certificates(certificates)[0]
    except (ValueError, TypeError) as error:
        raise BadInput(f"{key_path}: {first_line(error)}; give a key without password and its chain") from error
    if signer.public_key() != key.public_key():
        raise BadInput(f"{key_path}: is not the key of the first certificate in {certificate_path}; give the pair")
    return SigningIdentity(certificates, _pem(key), _algorithm(key, key_path))


def _algorithm(key: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise BadInput(f"{path}: a key of another kind; expected ECDSA (P-256, P-384, P-521), Ed25519 or RSA")


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _make(path: Path) -> None:
    """Writes a new key and its two certificates, of a root that signs nothing else and of the signer."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))  # the root's key is forgotten
    root = _certificate("self-made root", root_key.public_key(), root_key, None)
    signer = _certificate("self-made signer", key.public_key(), root_key, root)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with atomic_write(path, (path.suffix,), overwrite=False) as part:
            part.chmod(0o600)
            part.write_bytes(_pem(key) + signer.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM))
    except OutputError:
        if not path.exists():  # else another process was faster
            raise


def _certificate(name: str, public_key: Any, issuer_key: Any, issuer: x509.Certificate | None) -> x509.Certificate:
    """Returns a certificate as C2PA wants it: that of a root without an issuer, else that of a signer."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    is_root, now = issuer is None, datetime.datetime.now(datetime.timezone.utc)
    names = {NameOID.ORGANIZATION_NAME: "fewshot_heads", NameOID.COMMON_NAME: f"fewshot_heads, {name}"}
    subject = x509.Name([x509.NameAttribute(*item) for item in names.items()])
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    usage = dict.fromkeys((*others, "decipher_only"), False)
    usage |= {"digital_signature": not is_root, "key_cert_sign": is_root, "crl_sign": is_root}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALIDITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if not is_root:
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        builder = builder.add_extension(issuer_id, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
