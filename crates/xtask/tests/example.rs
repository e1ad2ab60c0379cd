//! The example mesh and the steps of its story are understood whole; the broken step is the only one with a problem.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::fs;
use std::path::{Path, PathBuf};

use model::Problem;
use model::parse::Context;
use sources::{File, Folder};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bookinfo").join(name)
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads a file as if it had another name.
fn file(path: &Path, name: &str) -> File {
    File { path: name.into(), text: Some(fs::read_to_string(path).unwrap()) }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn problems(folder: &mut Folder, files: impl IntoIterator<Item = File>) -> Vec<Problem> {
    folder.update(files).into_iter().flat_map(|change| change.problems).collect()
}

/// The folder as the demo starts with it.
fn folder() -> Folder {
    let mut folder = Folder::new(Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() });
    let files: Vec<File> =
        yaml_files(&example("config")).iter().map(|path| file(path, &name(path))).collect();
    assert_eq!(problems(&mut folder, files), []);
    folder
}

/// The file that a step is saved as: the one about the same service.
fn saved_as(step: &str) -> String {
    format!("routes-{}.yaml", step.split('-').next().unwrap())
}

#[test]
fn steps_are_understood() {
    let mut folder = folder();
    for path in yaml_files(&example("steps")).iter().filter(|path| !name(path).contains("broken")) {
        assert_eq!(problems(&mut folder, [file(path, &saved_as(&name(path)))]), [], "{}", path.display());
    }
}

#[test]
fn broken_step_is_told_by_its_line_and_field() {
    let path = example("steps/reviews-broken.yaml");
    let found = problems(&mut folder(), [file(&path, &saved_as("reviews-broken.yaml"))]);
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|line| line.contains("weight: most")).unwrap() + 1;
    assert_eq!(found.len(), 1);
    assert_eq!(usize::try_from(found[0].line).unwrap(), line);
    assert!(found[0].field.contains("weight"), "{}", found[0].field);
}
