//! `pilothouse tag`: names for revisions, on the objects that `istioctl tag` keeps them in.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use controllers::tags::{Tag, Tags, connect};
use serde_json::{Value, json};

use crate::output;

/// Names for revisions that namespaces can be labelled with (`istio.io/rev`); moving the name moves them all.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Args)]
struct Cluster {
    /// The kubeconfig of the cluster; if not given, that of KUBECONFIG, or ~/.kube/config, or the pod's own access.
    #[arg(long, global = true)]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, if not its current one.
    #[arg(long, global = true)]
    context: Option<String>,
    /// The namespace of the control planes.
    #[arg(
        short = 'i',
        long = "istioNamespace",
        alias = "namespace",
        default_value = "istio-system",
        global = true
    )]
    namespace: String,
}

#[derive(Subcommand)]
enum Command {
    /// Print the tags, and the revisions that have none.
    #[command(alias = "show")]
    List {
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Make a tag stand for a revision.
    Set {
        /// The tag; the one called `default` stands for whoever names none.
        tag: String,
        /// The revision.
        #[arg(short, long)]
        revision: String,
        /// Move the tag if it stands for another revision.
        #[arg(long)]
        overwrite: bool,
        /// Print the objects and apply nothing.
        #[arg(long)]
        dry_run: bool,
        /// How the objects of `--dry-run` are printed.
        #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
        output: Format,
    },
    /// Take a tag away; namespaces that are labelled with it are injected by nobody then.
    #[command(alias = "delete")]
    Remove {
        /// The tag.
        tag: String,
        /// Even if namespaces are labelled with it.
        #[arg(short = 'y', long)]
        skip_confirmation: bool,
    },
}

/// How objects are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Yaml,
}

/// Does what the words say.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(answer(arguments))
}

async fn answer(arguments: &Arguments) -> Result<()> {
    let Cluster { kubeconfig, context, namespace } = &arguments.cluster;
    let tags = Tags::new(connect(kubeconfig.as_deref(), context.as_deref()).await?, namespace);
    match &arguments.command {
        Command::List { output } => said(&listed(&tags.list().await?, *output)?),
        Command::Set { tag, revision, overwrite, dry_run: true, output } => {
            said(&written(&tags.objects(tag, revision, *overwrite).await?, *output)?)
        }
        Command::Set { tag, revision, overwrite, .. } => {
            tags.set(tag, revision, *overwrite).await?;
            said(&format!(
                "The tag {tag} stands for revision {revision}. Namespaces are of it by the label istio.io/rev={tag}."
            ))
        }
        Command::Remove { tag, skip_confirmation } => remove(&tags, tag, *skip_confirmation).await,
    }
}

fn said(text: &str) -> Result<()> {
    output::print(text.trim_end_matches('\n'))
}

async fn remove(tags: &Tags, tag: &str, whoever_uses_it: bool) -> Result<()> {
    let used = tags.namespaces(tag).await?;
    if !used.is_empty() && !whoever_uses_it && tags.list().await?.iter().any(|known| known.name == tag) {
        bail!(
            "namespaces are labelled with the tag {tag} and nobody would inject there: {}; label them otherwise first, or say -y",
            used.join(", ")
        );
    }
    tags.remove(tag).await?;
    said(&format!("The tag {tag} is removed."))
}

fn listed(tags: &[Tag], format: Format) -> Result<String> {
    if format != Format::Table {
        let tag =
            |tag: &Tag| json!({"tag": tag.name, "revision": tag.revision, "namespaces": tag.namespaces});
        let tags: Vec<Value> = tags.iter().map(tag).collect();
        return document(&tags.into(), format);
    }
    if tags.is_empty() {
        return Ok("There are no tags and no revisions.\n".to_owned());
    }
    let heading = ["TAG".to_owned(), "REVISION".to_owned(), "NAMESPACES".to_owned()];
    let row = |tag: &Tag| [tag.name.clone(), tag.revision.clone(), tag.namespaces.join(",")];
    let rows: Vec<[String; 3]> = std::iter::once(heading).chain(tags.iter().map(row)).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let line = |[tag, revision, namespaces]: &[String; 3]| {
        format!("{}\n", format!("{tag:first$} {revision:second$} {namespaces}").trim_end())
    };
    Ok(rows.iter().map(line).collect())
}

fn written(objects: &[Value], format: Format) -> Result<String> {
    match format {
        Format::Json => document(&json!({"apiVersion": "v1", "kind": "List", "items": objects}), format),
        Format::Yaml | Format::Table => {
            let documents: Result<Vec<String>> =
                objects.iter().map(|one| document(one, Format::Yaml)).collect();
            Ok(documents?.join("---\n"))
        }
    }
}

fn document(value: &Value, format: Format) -> Result<String> {
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
        Format::Table | Format::Yaml => serde_saphyr::to_string(value)?,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn tags_are_printed_as_istioctl_prints_them() {
        let tag = |name: &str, revision: &str, namespaces: &[&str]| Tag {
            name: name.to_owned(),
            revision: revision.to_owned(),
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        };
        let tags = [tag("prod", "1-9-1", &["shop", "bank"]), tag("", "1-9-2", &[])];
        expect![[r#"
            TAG  REVISION NAMESPACES
            prod 1-9-1    shop,bank
                 1-9-2
        "#]]
        .assert_eq(&listed(&tags, Format::Table).unwrap());
        assert_eq!(listed(&[], Format::Table).unwrap(), "There are no tags and no revisions.\n");
        let yaml = listed(&tags, Format::Yaml).unwrap();
        assert!(yaml.starts_with("- namespaces:\n"), "{yaml}");
    }

    #[test]
    fn objects_are_printed_one_after_the_other() {
        let objects = [json!({"kind": "A", "port": "443"}), json!({"kind": "B"})];
        let yaml = written(&objects, Format::Yaml).unwrap();
        assert_eq!(yaml, "kind: A\nport: \"443\"\n---\nkind: B\n");
    }
}
