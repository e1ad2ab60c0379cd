//! Flags of other versions of istiod do not keep `discovery` from starting: they are told and left out.

use std::ffi::{OsStr, OsString};

use clap::Command;
use model::spelling::is_close;

/// A flag that `discovery` does not know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// As it was written, without a value.
    flag: String,
    /// The one that it nearly is.
    meant: Option<String>,
}

impl Unknown {
    /// One line of the log.
    pub(crate) fn tell(&self) {
        let Self { flag, meant } = self;
        match meant {
            Some(meant) => tracing::warn!(%flag, "no such flag here; it is left out. Is {meant} meant?"),
            None => tracing::warn!(%flag, "no such flag here; it is left out"),
        }
    }
}

/// The words without flags that `discovery` does not know, and those flags.
///
/// A flag may be written `--flag=value` or `--flag value`; the value of an unknown one goes with it.
pub(crate) fn known(
    program: &Command,
    words: impl Iterator<Item = OsString>,
) -> (Vec<OsString>, Vec<Unknown>) {
    let words: Vec<OsString> = words.collect();
    let Some(discovery) = program.find_subcommand("discovery") else { return (words, Vec::new()) };
    if words.get(1).map(OsString::as_os_str) != Some(OsStr::new("discovery")) {
        return (words, Vec::new());
    }
    let mut kept = Vec::new();
    let mut unknown = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let Some(flag) = text.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            kept.push(word);
            continue;
        };
        let name = flag.split('=').next().unwrap_or(flag);
        if is_known(discovery, name) {
            kept.push(word);
            continue;
        }
        unknown.push(Unknown { flag: format!("--{name}"), meant: meant(discovery, name) });
        if !flag.contains('=') {
            words.next_if(|next| !next.to_string_lossy().starts_with('-'));
        }
    }
    (kept, unknown)
}

fn is_known(command: &Command, name: &str) -> bool {
    let named = |argument: &clap::Arg| {
        argument.get_long() == Some(name) || argument.get_all_aliases().is_some_and(|all| all.contains(&name))
    };
    name == "help" || name == "version" || command.get_arguments().any(named)
}

/// The flag that this one nearly is, of those that do something.
fn meant(command: &Command, name: &str) -> Option<String> {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let mut names = shown.filter_map(clap::Arg::get_long);
    names.find(|known| is_close(known, name)).map(|known| format!("--{known}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    #[test]
    fn unknown_flags_go_with_their_values() {
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Set);
        let program = Command::new("p").subcommand(Command::new("discovery").arg(flag("domain")));
        let words = ["p", "discovery", "--plugins", "a", "--domain", "b", "--old=1", "--flag", "--domain=c"];
        let (kept, unknown) = known(&program, words.iter().map(OsString::from));
        assert_eq!(kept, ["p", "discovery", "--domain", "b", "--domain=c"]);
        let unknown: Vec<_> = unknown.iter().map(|one| (&*one.flag, one.meant.as_deref())).collect();
        assert_eq!(unknown, [("--plugins", None), ("--old", None), ("--flag", None)]);
    }

    #[test]
    fn a_flag_that_is_nearly_another_is_told_with_that_one() {
        let flag = |name: &'static str| Arg::new(name).long(name);
        let discovery = Command::new("discovery").arg(flag("meshConfig")).arg(flag("plugins").hide(true));
        let program = Command::new("p").subcommand(discovery);
        let words = ["p", "discovery", "--meshConfg=a", "--pluginz=b"];
        let (_, unknown) = known(&program, words.iter().map(OsString::from));
        let meant: Vec<_> = unknown.iter().map(|one| one.meant.as_deref()).collect();
        assert_eq!(meant, [Some("--meshConfig"), None]);
    }
}
