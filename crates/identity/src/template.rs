//! Certificates as istiod fills them in (istiod-surface 7.3), written by us.
//!
//! Subjects of authorities and public keys go in byte for byte as they were: rcgen, with which tests make theirs,
//! writes names anew, loses a repeated part of one (`DC=example, DC=com`) and knows fewer keys.

use crate::der::{self, element};
use crate::error::Broken;
use crate::key::Key;

/// A name with nothing in it.
pub(crate) const NO_NAME: &[u8] = &[der::SEQUENCE, 0];
/// `organizationName`.
const ORGANIZATION: &[u8] = &[der::OID, 3, 0x55, 0x04, 0x0a];
/// `commonName`.
const COMMON_NAME: &[u8] = &[der::OID, 3, 0x55, 0x04, 0x03];
/// `serverAuth`, then `clientAuth`.
const SERVER_AND_CLIENT: &[u8] = &[
    der::OID,
    8,
    0x2b,
    6,
    1,
    5,
    5,
    7,
    3,
    1, //
    der::OID,
    8,
    0x2b,
    6,
    1,
    5,
    5,
    7,
    3,
    2,
];
/// `digitalSignature` and `keyEncipherment`.
const SIGN_AND_ENCIPHER: &[u8] = &[der::BIT_STRING, 2, 5, 0xa0];
/// `keyCertSign`.
const SIGN_CERTIFICATES: &[u8] = &[der::BIT_STRING, 2, 2, 0x04];
/// How many octets of a hash name a key (RFC 7093, method 1).
const KEY_ID: usize = 20;

/// What a certificate is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// To sign others.
    Authority,
    /// To show to others that one is these.
    Names(Vec<Name>),
}

/// A name of a certificate's holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A URI: a SPIFFE identity.
    Uri(String),
    /// A name in the DNS.
    Dns(String),
}

/// Everything about a certificate but its signature.
#[derive(Clone, Debug)]
pub(crate) struct Template<'a> {
    /// Who signs it: a `Name`.
    pub(crate) issuer: &'a [u8],
    /// Whose it is: a `Name`.
    pub(crate) subject: &'a [u8],
    /// The holder's public key.
    pub(crate) public: &'a [u8],
    /// From when on and until when it holds, in seconds since 1970.
    pub(crate) validity: (i64, i64),
    /// The name of the signing key, if there is one.
    pub(crate) signed_with: Option<&'a [u8]>,
    /// What it is for.
    pub(crate) purpose: &'a Purpose,
}

impl Template<'_> {
    /// The certificate, signed with this key.
    pub(crate) fn sign(&self, key: &Key) -> Result<Vec<u8>, Broken> {
        let algorithm = key.algorithm();
        let body = element(
            der::SEQUENCE,
            &[
                &[0xa0, 3, der::INTEGER, 1, 2],
                &serial()?,
                &algorithm,
                self.issuer,
                &element(der::SEQUENCE, &[&der::time(self.validity.0), &der::time(self.validity.1)]),
                self.subject,
                self.public,
                &element(0xa3, &[&element(der::SEQUENCE, &[&self.extensions()])]),
            ],
        );
        let signature = key.sign(&body)?;
        let signature = element(der::BIT_STRING, &[&[0], &signature]);
        Ok(element(der::SEQUENCE, &[&body, &algorithm, &signature]))
    }

    fn extensions(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(256);
        match self.purpose {
            Purpose::Authority => {
                all.extend(extension(15, true, SIGN_CERTIFICATES));
                let constraints = element(der::SEQUENCE, &[der::TRUE]);
                all.extend(extension(19, true, &constraints));
                all.extend(extension(14, false, &element(der::OCTET_STRING, &[&key_id(self.public)])));
            }
            Purpose::Names(_) => {
                all.extend(extension(15, true, SIGN_AND_ENCIPHER));
                all.extend(extension(37, false, &element(der::SEQUENCE, &[SERVER_AND_CLIENT])));
                all.extend(extension(19, true, &[der::SEQUENCE, 0]));
            }
        }
        if let Some(id) = self.signed_with {
            all.extend(extension(35, false, &element(der::SEQUENCE, &[&element(0x80, &[id])])));
        }
        if let Purpose::Names(names) = self.purpose {
            let names: Vec<u8> = names.iter().flat_map(Name::write).collect();
            all.extend(extension(17, true, &element(der::SEQUENCE, &[&names])));
        }
        all
    }
}

impl Name {
    fn write(&self) -> Vec<u8> {
        match self {
            Self::Uri(uri) => element(0x86, &[uri.as_bytes()]),
            Self::Dns(name) => element(0x82, &[name.as_bytes()]),
        }
    }
}

/// An extension of X.509 itself (2.5.29).
fn extension(number: u8, is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { der::TRUE } else { &[] };
    let id = [der::OID, 3, 0x55, 0x1d, number];
    element(der::SEQUENCE, &[&id, critical, &element(der::OCTET_STRING, &[value])])
}

/// 128 bits of chance.
fn serial() -> Result<Vec<u8>, Broken> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Broken::because("there is no randomness to be had"))?;
    Ok(der::integer(&bytes))
}

/// The name of a key: a hash of it.
pub(crate) fn key_id(public: &[u8]) -> Vec<u8> {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public);
    hash.as_ref().iter().take(KEY_ID).copied().collect()
}

/// The name of an organization.
pub(crate) fn organization(name: &str) -> Vec<u8> {
    named(ORGANIZATION, name)
}

/// A common name.
pub(crate) fn common_name(name: &str) -> Vec<u8> {
    named(COMMON_NAME, name)
}

fn named(what: &[u8], name: &str) -> Vec<u8> {
    let is_printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
    let tag = if name.bytes().all(is_printable) { der::PRINTABLE } else { der::UTF8 };
    let pair = element(der::SEQUENCE, &[what, &element(tag, &[name.as_bytes()])]);
    element(der::SEQUENCE, &[&element(der::SET, &[&pair])])
}
