//! Flags of other versions of istiod do not keep `discovery` from starting: they are told and left out.

use std::ffi::{OsStr, OsString};

use clap::Command;

/// The words without flags that `discovery` does not know, and those flags.
///
/// A flag may be written `--flag=value` or `--flag value`; the value of an unknown one goes with it.
pub(crate) fn known(
    program: &Command,
    words: impl Iterator<Item = OsString>,
) -> (Vec<OsString>, Vec<String>) {
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
        unknown.push(format!("--{name}"));
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
        assert_eq!(unknown, ["--plugins", "--old", "--flag"]);
    }
}
