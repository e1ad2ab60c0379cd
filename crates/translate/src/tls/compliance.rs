//! What a regulation makes of TLS parameters (xds-semantics, TLS on outbound clusters: compliance policy).

use envoy_api::envoy::extensions::transport_sockets::tls::v3::{TlsParameters, tls_parameters};
use model::networking::TlsVersion;
use model::settings::Compliance;

use super::{version, words};

/// Cipher suites of TLS 1.2 that a regulation allows.
const ALLOWED: [&str; 4] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

/// The parameters as the regulation wants them, whatever was asked for. To be applied last.
pub(super) fn enforced(params: Option<TlsParameters>, policy: Compliance) -> Option<TlsParameters> {
    if policy == Compliance::None {
        return params;
    }
    let mut params = params.unwrap_or_default();
    match policy {
        Compliance::None => {}
        Compliance::Fips1402 => {
            params.tls_minimum_protocol_version = version(TlsVersion::V1_2);
            params.tls_maximum_protocol_version = version(TlsVersion::V1_2);
            // Left out they are those of Envoy's build, which are the allowed ones.
            params.cipher_suites.retain(|suite| ALLOWED.contains(&&**suite));
            params.ecdh_curves.clear();
        }
        Compliance::Fips1403 => {
            params.compliance_policies = vec![tls_parameters::CompliancePolicy::Fips202205 as i32];
        }
        Compliance::Pqc => {
            params.tls_minimum_protocol_version = version(TlsVersion::V1_3);
            params.cipher_suites = words(&ALLOWED);
            params.ecdh_curves = vec!["X25519MLKEM768".into()];
        }
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(params: Option<TlsParameters>, policy: Compliance) -> String {
        let Some(params) = enforced(params, policy) else { return "nothing".into() };
        let versions = (params.tls_minimum_protocol_version, params.tls_maximum_protocol_version);
        let lists = [params.cipher_suites, params.ecdh_curves].map(|list| list.join(","));
        format!("{versions:?} {lists:?} {:?}", params.compliance_policies)
    }

    #[test]
    fn a_regulation_has_the_last_word() {
        let asked = TlsParameters {
            tls_minimum_protocol_version: version(TlsVersion::V1_0),
            cipher_suites: words(&["AES128-SHA", ALLOWED[1]]),
            ecdh_curves: words(&["P-521"]),
            ..TlsParameters::default()
        };
        let both = |policy| [told(None, policy), told(Some(asked.clone()), policy)];
        let suite = ALLOWED[1];
        let all = ALLOWED.join(",");
        assert_eq!(both(Compliance::None)[0], "nothing");
        assert_eq!(
            both(Compliance::Fips1402),
            [format!("(3, 3) [{:?}, {:?}] []", "", ""), format!("(3, 3) [{suite:?}, {:?}] []", "")]
        );
        assert_eq!(
            both(Compliance::Fips1403),
            [
                format!("(0, 0) [{:?}, {:?}] [0]", "", ""),
                format!("(1, 0) [{:?}, {:?}] [0]", format!("AES128-SHA,{suite}"), "P-521")
            ]
        );
        let pqc = format!("(4, 0) [{all:?}, {:?}] []", "X25519MLKEM768");
        assert_eq!(both(Compliance::Pqc), [pqc.clone(), pqc]);
    }
}
