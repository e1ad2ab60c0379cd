//! Identities that a service's endpoints may have.

use model::Text;

use super::outbound::ClusterInputs;

/// Those of its endpoints' workloads and those that it declares, each in every trust domain that the mesh
/// ever had; sorted.
pub(super) fn accounts(inputs: &ClusterInputs) -> Vec<Text> {
    let found = inputs.accounts.as_deref().map_or(&[][..], Vec::as_slice);
    let aliases = &inputs.mesh.trust_domain_aliases;
    let mut all = found.to_vec();
    if !inputs.service.accounts.is_empty() || !aliases.is_empty() {
        all.extend(inputs.service.accounts.iter().cloned());
        let renamed: Vec<Text> = all.iter().flat_map(|account| in_domains(account, aliases)).collect();
        all.extend(renamed);
        all.sort_unstable();
        all.dedup();
    }
    all
}

/// The identity in other trust domains; nothing for what is no workload's identity.
fn in_domains<'a>(account: &'a str, domains: &'a [Text]) -> impl Iterator<Item = Text> + 'a {
    let workload = account.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    let workload = workload.map(|(_, workload)| workload).filter(|workload| {
        let parts: Vec<&str> = workload.split('/').collect();
        matches!(parts.as_slice(), ["ns", _, "sa", _])
    });
    workload.into_iter().flat_map(move |workload| {
        domains.iter().map(move |domain| format!("spiffe://{domain}/{workload}").into())
    })
}
