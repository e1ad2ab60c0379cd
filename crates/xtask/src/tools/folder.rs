//! Folders of `.tools/`, which appear under their final name only when they are whole.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Fills a folder beside its place and moves it there; one that another run finished meanwhile is as good.
pub(super) fn make(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let partial = folder.with_file_name(format!(
        "{}.{}",
        folder.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    fs::create_dir_all(&partial).with_context(|| format!("making {}", partial.display()))?;
    let made = fill(&partial).and_then(|()| publish(&partial, folder));
    if made.is_err() || partial.exists() {
        let _ = fs::remove_dir_all(&partial);
    }
    made
}

fn publish(partial: &Path, folder: &Path) -> Result<()> {
    match fs::rename(partial, folder) {
        Ok(()) => Ok(()),
        Err(_) if folder.is_dir() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("naming {}", folder.display())),
    }
}

/// Copies files and folders below a folder; nothing else is expected there. What was read-only can be written again.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
        for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    fs::write(to, bytes).with_context(|| format!("writing {}", to.display()))
}
