//! Whether a signature is what it says.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::error::Broken;

/// The curve P-521, which the registry of x509-parser does not know.
const P521: &str = "1.3.132.0.35";
/// ECDSA with SHA-512, likewise.
const ECDSA_SHA512: &str = "1.2.840.10045.4.3.4";

/// What was signed, how, and the signature.
pub(crate) struct Signed<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) algorithm: &'a AlgorithmIdentifier<'a>,
    pub(crate) signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the holder of this key signed it. Keys that are too weak, and hashes that are broken, sign nothing.
    pub(crate) fn verify(&self, key: &SubjectPublicKeyInfo<'_>) -> Result<(), Broken> {
        strong_enough(key)?;
        let algorithm = algorithm(key, self.algorithm)
            .ok_or_else(|| Broken::because("its signature is of a kind that is not accepted"))?;
        UnparsedPublicKey::new(algorithm, &key.subject_public_key.data)
            .verify(self.data, self.signature)
            .map_err(|_| Broken::because("its signature does not fit its key"))
    }
}

/// Refuses keys that would not be accepted by those who are to verify what they sign: RSA below 2048 bits, or so
/// large that one request would cost a great deal.
pub(crate) fn strong_enough(key: &SubjectPublicKeyInfo<'_>) -> Result<(), Broken> {
    let parsed = key.parsed().map_err(|error| Broken::new("its public key", error))?;
    match parsed {
        PublicKey::RSA(key) if !(2041..=8192).contains(&key.key_size()) => {
            Err(Broken::because(format!("an RSA key of {} bits is not accepted", key.key_size())))
        }
        PublicKey::RSA(key) if !key.try_exponent().is_ok_and(|exponent| exponent < 1 << 33) => {
            Err(Broken::because("an RSA key with such an exponent is not accepted"))
        }
        PublicKey::RSA(_) | PublicKey::EC(_) => Ok(()),
        _ if key.algorithm.algorithm == oid::OID_SIG_ED25519 => Ok(()),
        _ => Err(Broken::because("a key of this kind is not accepted")),
    }
}

fn algorithm(
    key: &SubjectPublicKeyInfo<'_>,
    signed: &AlgorithmIdentifier<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let hash = &signed.algorithm;
    if key.algorithm.algorithm == oid::OID_PKCS1_RSAENCRYPTION {
        return match () {
            () if *hash == oid::OID_PKCS1_SHA256WITHRSA => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            () if *hash == oid::OID_PKCS1_SHA384WITHRSA => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            () if *hash == oid::OID_PKCS1_SHA512WITHRSA => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            () if *hash == oid::OID_PKCS1_RSASSAPSS => pss(signed),
            () => None,
        };
    }
    if key.algorithm.algorithm == oid::OID_SIG_ED25519 {
        return (*hash == oid::OID_SIG_ED25519).then_some(&signature::ED25519);
    }
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let hash = match () {
        () if *hash == oid::OID_SIG_ECDSA_WITH_SHA256 => 256,
        () if *hash == oid::OID_SIG_ECDSA_WITH_SHA384 => 384,
        () if hash.to_id_string() == ECDSA_SHA512 => 512,
        () => return None,
    };
    match (curve == oid::OID_EC_P256, curve == oid::OID_NIST_EC_P384, hash) {
        (true, _, 256) => Some(&signature::ECDSA_P256_SHA256_ASN1),
        (true, _, 384) => Some(&signature::ECDSA_P256_SHA384_ASN1),
        (true, _, _) => Some(&signature::ECDSA_P256_SHA512_ASN1),
        (_, true, 256) => Some(&signature::ECDSA_P384_SHA256_ASN1),
        (_, true, 384) => Some(&signature::ECDSA_P384_SHA384_ASN1),
        (_, true, _) => Some(&signature::ECDSA_P384_SHA512_ASN1),
        (_, _, hash) if curve.to_id_string() == P521 => Some(match hash {
            256 => &signature::ECDSA_P521_SHA256_ASN1,
            384 => &signature::ECDSA_P521_SHA384_ASN1,
            _ => &signature::ECDSA_P521_SHA512_ASN1,
        }),
        _ => None,
    }
}

fn pss(signed: &AlgorithmIdentifier<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    use x509_parser::signature_algorithm::RsaSsaPssParams;
    let parameters = RsaSsaPssParams::try_from(signed.parameters.as_ref()?).ok()?;
    let hash = parameters.hash_algorithm_oid();
    match () {
        () if *hash == oid::OID_NIST_HASH_SHA256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        () if *hash == oid::OID_NIST_HASH_SHA384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        () if *hash == oid::OID_NIST_HASH_SHA512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        () => None,
    }
}

/// Takes the public key out of its element.
pub(crate) fn public_key(der: &[u8]) -> Result<SubjectPublicKeyInfo<'_>, Broken> {
    SubjectPublicKeyInfo::from_der(der)
        .map(|(_, key)| key)
        .map_err(|error| Broken::new("a public key", error))
}
