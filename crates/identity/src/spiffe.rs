//! Identities as SPIFFE writes them in Istio: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.

use model::Caller;

/// The identity that a URI stands for, exactly of Istio's form; else `None`.
pub fn parse(uri: &str) -> Option<Caller> {
    let mut words = uri.strip_prefix("spiffe://")?.split('/');
    let (trust_domain, "ns", namespace, "sa", service_account, None) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?, words.next())
    else {
        return None;
    };
    Some(Caller {
        trust_domain: trust_domain.into(),
        namespace: namespace.into(),
        service_account: service_account.into(),
    })
}

/// The URI of an identity. An `@` in a trust domain becomes a dot, as with istiod.
pub fn uri(caller: &Caller) -> String {
    let Caller { trust_domain, namespace, service_account } = caller;
    format!("spiffe://{}/ns/{namespace}/sa/{service_account}", trust_domain.replace('@', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_istios_form_is_an_identity() {
        let uri_of = |text| parse(text).as_ref().map(uri);
        let whole = "spiffe://cluster.local/ns/web/sa/shop";
        assert_eq!(uri_of(whole).as_deref(), Some(whole));
        for other in [
            "spiffe://cluster.local",
            "spiffe://cluster.local/ns/web",
            "spiffe://cluster.local/ns/web/sa/shop/more",
            "spiffe://cluster.local/sa/shop/ns/web",
            "https://cluster.local/ns/web/sa/shop",
            "",
        ] {
            assert_eq!(uri_of(other), None, "{other}");
        }
    }
}
