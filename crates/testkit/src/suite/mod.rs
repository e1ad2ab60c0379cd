//! The corpora as one suite: which families, against which lists, and what is said about them.

mod arguments;
mod families;

use std::{
    io::{self, Write},
    path::PathBuf,
};

pub use arguments::{Arguments, Family};

use crate::{
    corpus::{self, Error},
    family::{
        consumers::Recode, inject::Inject, install::Install, nodes::ParseNode, scope::ComputeScope,
        tables::Compute,
    },
    offline::Translate,
    verdict::{self, Expected, Judgement, Verdict},
};

/// What of the product is judged. A family whose part is not handed in is skipped with a line.
#[derive(Default)]
pub struct Product<'a> {
    /// For `xds-golden`, `xds-simulation` and `envoy`.
    pub translate: Option<&'a Translate<'a>>,
    /// For `bootstrap-nodes`.
    pub parse_node: Option<&'a ParseNode<'a>>,
    /// For `sidecar-scope`.
    pub compute_scope: Option<&'a ComputeScope<'a>>,
    /// For `inject`.
    pub inject: Option<&'a dyn Inject>,
    /// For `small-tables`.
    pub compute: Option<&'a Compute<'a>>,
    /// For `install-manifests`.
    pub install: Option<&'a dyn Install>,
    /// For `istioctl-consumers`.
    pub recode: Option<&'a Recode<'a>>,
}

/// Where things lie, and how strict the run is.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The folder of the corpora.
    pub corpora: PathBuf,
    /// The folder of the lists of expected failures, `<family>.txt` each.
    pub lists: PathBuf,
    /// A real Envoy.
    pub envoy: Option<PathBuf>,
    /// A skipped family is a failure (continuous integration).
    pub required: bool,
}

/// One family's verdicts and what else there is to say.
#[derive(Clone, Debug, Default)]
struct Outcome {
    verdicts: Vec<Verdict>,
    left_out: usize,
    /// No filter was set: every case of the family was judged.
    whole: bool,
    /// Printed before the closing line.
    text: String,
    /// Written to the report's file.
    report: String,
}

/// Judges the families that the arguments name and writes what is found. True: everything is as listed.
///
/// The last line has the form of a test program's, so that whoever counts tests counts these.
pub fn run(
    arguments: &Arguments,
    product: &Product<'_>,
    places: &Places,
    out: &mut dyn Write,
) -> Result<bool, Error> {
    let mut totals = Totals::default();
    let mut report = String::new();
    for family in arguments.chosen() {
        let Some(outcome) = families::judge(family, arguments, product, places)? else {
            say(out, &format!("SKIPPED {}: {}\n", family.name(), family.needs()))?;
            totals.wrong += usize::from(places.required);
            continue;
        };
        let judgement = meet_list(family, arguments, places, &outcome)?;
        say(out, &outcome.text)?;
        say(out, &judgement.text(family.name(), arguments.most))?;
        report.push_str(&outcome.report);
        report.push_str(&judgement.text(family.name(), usize::MAX));
        totals.add(&judgement);
    }
    if let Some(file) = &arguments.report {
        std::fs::write(file, report).map_err(|source| Error::Io { path: file.clone(), source })?;
    }
    say(out, &totals.line())?;
    Ok(totals.wrong == 0)
}

/// The family's verdicts against its list, which `--write-list` first makes anew.
fn meet_list(
    family: Family,
    arguments: &Arguments,
    places: &Places,
    outcome: &Outcome,
) -> Result<Judgement, Error> {
    let file = places.lists.join(format!("{}.txt", family.name()));
    if arguments.write_list && outcome.whole {
        std::fs::write(&file, verdict::list(family.name(), &outcome.verdicts))
            .map_err(|source| Error::Io { path: file.clone(), source })?;
    }
    let expected = Expected::parse(&corpus::optional_text(&file)?.unwrap_or_default())?;
    Ok(Judgement::new(&outcome.verdicts, &expected, outcome.left_out, outcome.whole))
}

fn say(out: &mut dyn Write, text: &str) -> Result<(), Error> {
    let wrap = |source: io::Error| Error::Io { path: "standard output".into(), source };
    out.write_all(text.as_bytes()).map_err(wrap)
}

/// Sums over all families.
#[derive(Default)]
struct Totals {
    passed: usize,
    wrong: usize,
    ignored: usize,
}

impl Totals {
    fn add(&mut self, judgement: &Judgement) {
        self.passed += judgement.passed - judgement.mended.len();
        self.wrong += judgement.unexpected.len() + judgement.mended.len() + judgement.unknown.len();
        self.ignored += judgement.expected + judgement.left_out;
    }

    fn line(&self) -> String {
        let word = if self.wrong == 0 { "ok" } else { "FAILED" };
        format!(
            "test result: {word}. {} passed; {} failed; {} ignored\n",
            self.passed, self.wrong, self.ignored
        )
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
