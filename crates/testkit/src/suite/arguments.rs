//! What a person can ask of the suite.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, ValueEnum};

use crate::golden::Filter;

/// A family of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Resources equal to istiod's recorded answers, file by file.
    XdsGolden,
    /// Calls sent through generated configuration.
    XdsSimulation,
    /// Services that a Sidecar leaves visible.
    SidecarScope,
    /// Nodes that proxies announce.
    BootstrapNodes,
    /// Pods and workloads, injected.
    Inject,
    /// Single functions: names, labels, protocols, parts of injection.
    SmallTables,
    /// What Istio's charts hand to a control plane, and what they let it do.
    InstallManifests,
    /// Dumps that istioctl reads.
    IstioctlConsumers,
    /// Everything generated for the recorded sets, put to a real Envoy.
    Envoy,
}

impl Family {
    /// Its name in the corpus, on the command line and of its list.
    pub fn name(self) -> &'static str {
        match self {
            Self::XdsGolden => "xds-golden",
            Self::XdsSimulation => "xds-simulation",
            Self::SidecarScope => "sidecar-scope",
            Self::BootstrapNodes => "bootstrap-nodes",
            Self::Inject => "inject",
            Self::SmallTables => "small-tables",
            Self::InstallManifests => "install-manifests",
            Self::IstioctlConsumers => "istioctl-consumers",
            Self::Envoy => "envoy",
        }
    }

    /// What is missing where it cannot be judged.
    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::XdsGolden | Self::XdsSimulation => "no translation to judge",
            Self::SidecarScope => "no scope to judge",
            Self::BootstrapNodes => "no parser of nodes to judge",
            Self::Inject => "no injection to judge",
            Self::SmallTables => "no functions to judge",
            Self::InstallManifests => "no program to judge",
            Self::IstioctlConsumers => "no messages to judge",
            Self::Envoy => "no Envoy (PILOTHOUSE_ENVOY), or no translation to judge",
        }
    }
}

/// Families of recorded sets whose subject Pilothouse covers: bookinfo, services, virtual services, gateways.
const COVERED: [u32; 4] = [1, 2, 4, 5];

/// What to judge and how much to say.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// One family instead of all
    #[arg(long, value_enum)]
    pub family: Option<Family>,
    /// Numbers of families of recorded sets, or `all`; default 1,2,4,5, and all for `envoy` or with --case
    #[arg(long, value_delimiter = ',')]
    pub families: Vec<String>,
    /// Types of recorded files (cds, eds, lds, rds …)
    #[arg(long = "type", value_delimiter = ',')]
    pub types: Vec<String>,
    /// One recorded set, by name or part of a name
    #[arg(long)]
    pub case: Option<String>,
    /// List the differences of each failing file
    #[arg(long)]
    pub diff: bool,
    /// Differences of a file, and failing cases of a family, at most
    #[arg(long, default_value_t = 12)]
    pub most: usize,
    /// Groups of failures, at most
    #[arg(long, default_value_t = 25)]
    pub groups: usize,
    /// Write everything, without limits, to this file
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Make the lists of expected failures anew from this run
    #[arg(long)]
    pub write_list: bool,
    /// Judge the simulated cases that need Gateway API or Ingress as well
    #[arg(long)]
    pub everything: bool,
}

impl Arguments {
    /// The families to judge, in a fixed order.
    pub(super) fn chosen(&self) -> Vec<Family> {
        match self.family {
            Some(family) => vec![family],
            None => Family::value_variants().to_vec(),
        }
    }

    /// Which recorded files to judge, if the numbers can be read.
    pub(super) fn filter(&self, family: Family) -> Result<Filter, String> {
        let all = self.families.iter().any(|one| one == "all");
        let families: BTreeSet<u32> = match self.families.is_empty() {
            _ if all => BTreeSet::new(),
            true if self.case.is_some() || family == Family::Envoy => BTreeSet::new(),
            true => COVERED.into(),
            false => {
                let numbers = self.families.iter().map(|one| one.parse().map_err(|_| one.clone()));
                numbers
                    .collect::<Result<_, String>>()
                    .map_err(|one| format!("{one} is no family's number"))?
            }
        };
        Ok(Filter { families, types: self.types.iter().cloned().collect(), case: self.case.clone() })
    }

    /// Whether all that counts for the lists is judged.
    pub(super) fn is_whole(&self) -> bool {
        self.families.is_empty() && self.types.is_empty() && self.case.is_none() && !self.everything
    }
}
