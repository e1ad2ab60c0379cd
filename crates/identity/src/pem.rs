//! PEM, as people and istiod write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::error::Broken;

/// Characters in a line.
const LINE: usize = 64;

/// All certificates in a text; other blocks and what lies between are left out. A block that cannot be read is
/// an error, no certificate is none.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Broken> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| Broken::new("certificates", error))
}

/// One block with this label; it ends with a newline. What is in it is copied nowhere else: it may be a key.
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut block = String::with_capacity(text.len() + text.len() / LINE + 2 * label.len() + 64);
    block.extend(["-----BEGIN ", label, "-----\n"]);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        block.extend([line, "\n"]);
        rest = more;
    }
    block.extend(["-----END ", label, "-----\n"]);
    block
}

/// A certificate's block.
pub(crate) fn certificate(der: &[u8]) -> String {
    block("CERTIFICATE", der)
}
