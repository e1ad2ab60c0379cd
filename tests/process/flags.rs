//! What the program says of flags, and with which status it ends.

use std::fs;
use std::process::{Command, Output};

use crate::{PILOTHOUSE, Running, text};

fn run(words: &[&str]) -> Output {
    Command::new(PILOTHOUSE).args(words).output().unwrap()
}

#[test]
fn flags_that_cannot_be_meant_are_refused() {
    let none = ["discovery", "--configDir", ".", "--grpcAddr", "", "--httpAddr", "", "--monitoringAddr", ""];
    let translate = ["translate", "--configDir", ".", "--node", "x"];
    for (words, told) in [
        (
            &["bootstrap", "--name", "a", "--ip", "1.1.1.1", "--discoveryAddress", "foo"][..],
            "write HOST:PORT",
        ),
        (&["proxy-status", "--plaintext", "--xds-address", "127.18.0.2"], "write HOST:PORT"),
        (&["proxy-status", "--plaintext", "--xds-address", "http://127.0.0.1:1"], "write HOST:PORT"),
        (&["bootstrap", "--name", "", "--ip", "1.1.1.1"], "--name"),
        (&none, "nothing would be served"),
        (&["discovery", "--log_output_level", "default:loud"], "no level 'loud'"),
        (&[&translate[..], &["--types", "cds,foo"]].concat(), "no type 'foo'; types are cds, eds, lds, rds"),
        (&[&translate[..], &["--names", "foo=a"]].concat(), "no type 'foo'"),
    ] {
        let output = run(words);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
        assert!(error.contains(told), "{words:?}: {error}");
    }
}

#[test]
fn the_last_of_two_flags_counts_and_nobody_has_to_listen() {
    let running = Running::start(&["--grpcAddr=127.0.0.2:0"], &[]);
    assert!(running.address().starts_with("127.0.0.2:"));
    assert!(running.end());
}

#[test]
fn flags_without_effect_beside_others_are_told() {
    let running = Running::start(&["--kubeconfig", "/none", "--stateDir", "state"], &[]);
    for flag in ["--kubeconfig", "--stateDir"] {
        running.says(&format!("\twarn\tthis flag has no effect beside --configDir flag={flag}"));
    }
}

#[test]
fn a_kubeconfig_that_is_missing_is_told_once() {
    let error = text(&run(&["discovery", "--grpcAddr", "127.0.0.1:0", "--kubeconfig", "/none"]).stderr);
    assert!(error.contains("error: cannot use the kubeconfig /none: No such file"), "{error}");
    assert_eq!((error.matches("/none").count(), error.matches("No such file").count()), (1, 1), "{error}");
}

#[test]
fn a_bootstrap_says_what_an_envoy_without_an_agent_cannot_have() {
    let output = run(&["bootstrap", "--name", "a", "--ip", "127.0.0.1"]);
    let told = text(&output.stderr);
    assert!(told.contains("enableAutoMtls: false") && told.contains("DISABLE"), "{told}");
    assert_eq!(told.lines().count(), 1);
}

#[test]
fn translate_takes_a_bootstrap_and_is_strict_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(path("config")).unwrap();
    let bootstrap = run(&["bootstrap", "--name", "a", "--ip", "127.0.0.1"]);
    fs::write(path("node.json"), &bootstrap.stdout).unwrap();
    let words = ["--configDir", &path("config"), "--node", &path("node.json"), "--types", "CDS"];
    let translate = |more: &[&str]| run(&[&["translate"], &words[..], more].concat());
    let [plain, pretty] = [translate(&["--strict"]), translate(&["--pretty"])];
    assert!(plain.status.success(), "{}", text(&plain.stderr));
    assert!(text(&plain.stdout).starts_with("{\"cds\":[{") && text(&plain.stdout).lines().count() == 1);
    assert!(text(&pretty.stdout).lines().count() > 10);

    fs::write(folder.path().join("config/a.yaml"), "a: {{ .Values.x }}\n").unwrap();
    std::os::unix::fs::symlink("nothing", folder.path().join("config/b.yaml")).unwrap();
    let lenient = translate(&[]);
    let told = text(&lenient.stderr);
    assert!(lenient.status.success(), "{told}");
    assert!(told.contains("a.yaml:1: not YAML: ") && told.contains("a template"), "{told}");
    assert!(
        told.contains("b.yaml: the link leads to nothing; nothing of it is served [dangling-link]"),
        "{told}"
    );
    let strict = translate(&["--strict"]);
    assert_eq!(strict.status.code(), Some(1));
    assert!(!strict.stdout.is_empty() && text(&strict.stderr).contains(": errors 2, warnings 0"));

    fs::remove_file(folder.path().join("config/b.yaml")).unwrap();
    let warned =
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec: {egres: []}\n";
    fs::write(folder.path().join("config/a.yaml"), warned).unwrap();
    assert!(translate(&[]).status.success());
    let strict = translate(&["--strict"]);
    assert_eq!(strict.status.code(), Some(1), "a field that does nothing is a warning");
    assert!(text(&strict.stderr).contains(": errors 0, warnings 1"), "{}", text(&strict.stderr));
}
