//! Revision tags: names for revisions that namespaces can be labelled with, kept in the very objects that istioctl keeps
//! them in (istiod-surface 3.5).

mod objects;

use std::collections::BTreeMap;
use std::path::Path;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use model::revision::{DEFAULT, REVISION, TAG};
use serde_json::Value;

pub use crate::error::Error;
use crate::store::{Key, Resource, Store, label, name};

/// A tag, or a revision that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name; empty for a revision that no tag names.
    pub name: String,
    /// The revision that it stands for.
    pub revision: String,
    /// The namespaces that are labelled with it.
    pub namespaces: Vec<String>,
}

/// The tags of one cluster.
pub struct Tags {
    store: Store,
    namespace: String,
}

/// A client of the cluster that a kubeconfig names (by default `KUBECONFIG`'s or `~/.kube/config`, and within a pod the
/// pod's own).
///
/// # Errors
/// If there is none, or it has no such context.
pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Client, Error> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let unusable = |cause: String| Error::Unusable(cause);
    let config = match kubeconfig {
        Some(path) => {
            let named = |error: &dyn std::fmt::Display| unusable(format!("{}: {error}", path.display()));
            let read = Kubeconfig::read_from(path).map_err(|error| named(&error))?;
            Config::from_custom_kubeconfig(read, &options).await.map_err(|error| named(&error))?
        }
        None if context.is_some() => {
            Config::from_kubeconfig(&options).await.map_err(|error| unusable(error.to_string()))?
        }
        None => Config::infer().await.map_err(|error| unusable(error.to_string()))?,
    };
    Client::try_from(config).map_err(|error| unusable(error.to_string()))
}

impl Tags {
    /// The tags of a cluster whose control planes are in this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { store: Store::new(client), namespace: namespace.to_owned() }
    }

    /// All tags, and the revisions that have none, by revision and name.
    ///
    /// # Errors
    /// If the cluster does not say.
    pub async fn list(&self) -> Result<Vec<Tag>, Error> {
        let mut objects = self.store.list(Resource::MUTATING, "").await?;
        objects.extend(self.store.list(Resource::SERVICE, &self.namespace).await?);
        let mut tags: BTreeMap<(String, String), Vec<String>> = objects
            .iter()
            .filter_map(|object| Some((label(object, REVISION)?, label(object, TAG).unwrap_or_default())))
            .map(|(revision, tag)| ((revision.to_owned(), tag.to_owned()), Vec::new()))
            .collect();
        let tagged: Vec<String> =
            tags.keys().filter(|(_, tag)| !tag.is_empty()).map(|(revision, _)| revision.clone()).collect();
        tags.retain(|(revision, tag), _| !tag.is_empty() || !tagged.contains(revision));
        for namespace in self.store.list(Resource::NAMESPACE, "").await? {
            let (Some(said), Some(name)) = (label(&namespace, REVISION), name(&namespace)) else { continue };
            let named = tags.iter_mut().filter(|((revision, tag), _)| asked_by(revision, tag) == said);
            named.for_each(|(_, namespaces)| namespaces.push(name.to_owned()));
        }
        let tag = |((revision, name), namespaces)| Tag { name, revision, namespaces };
        Ok(tags.into_iter().map(tag).collect())
    }

    /// What there is to apply so that a tag stands for a revision: the webhook that injects for it, the Service, and for
    /// the tag `default` the webhook that validates what names no revision.
    ///
    /// # Errors
    /// If there is no such revision, the name is taken, or the tag exists and `overwrite` does not allow to move it.
    pub async fn objects(&self, tag: &str, revision: &str, overwrite: bool) -> Result<Vec<Value>, Error> {
        check_name(tag)?;
        let webhooks = self.store.list(Resource::MUTATING, "").await?;
        let services = self.store.list(Resource::SERVICE, &self.namespace).await?;
        let is_own =
            |object: &&Value, of: &str| label(object, REVISION) == Some(of) && label(object, TAG).is_none();
        let is_istiod = |service: &&Value| label(service, "app") == Some("istiod");
        let all = || webhooks.iter().chain(services.iter().filter(is_istiod));
        if tag != DEFAULT && all().any(|object| is_own(&object, tag)) {
            return Err(Error::IsRevision(tag.to_owned()));
        }
        let current = all().find(|object| label(object, TAG) == Some(tag));
        if let Some(current) = current.filter(|_| !overwrite) {
            let of = label(current, REVISION).unwrap_or_default().to_owned();
            return Err(Error::Exists { tag: tag.to_owned(), revision: of });
        }
        let mut injectors = webhooks.iter().filter(|object| is_own(object, revision));
        let injector = injectors.next().ok_or_else(|| Error::no_revision(revision, &webhooks))?;
        if injectors.next().is_some() {
            return Err(Error::Ambiguous(revision.to_owned()));
        }
        let service = services.iter().filter(is_istiod).find(|object| is_own(object, revision));
        let place = objects::Place { tag, revision, namespace: &self.namespace };
        let mut objects = vec![objects::injector(&place, injector)?];
        if tag == DEFAULT {
            let key = Key::new(Resource::VALIDATING, "", objects::DEFAULT_VALIDATOR);
            let current = self.store.get(&key).await?;
            objects.push(objects::validator(&place, injector, current.as_ref())?);
        }
        objects.extend(service.map(|service| objects::service(&place, service)));
        Ok(objects)
    }

    /// Makes a tag stand for a revision. For the tag `default` the default revision's own webhook is put out of use first, as
    /// istioctl does, since two would inject the same pods.
    ///
    /// # Errors
    /// As [`Self::objects`], or if the cluster refuses.
    pub async fn set(&self, tag: &str, revision: &str, overwrite: bool) -> Result<(), Error> {
        let objects = self.objects(tag, revision, overwrite).await?;
        if tag == DEFAULT {
            self.put_out_of_use().await?;
        }
        for object in objects {
            let key = Key::of(Resource::of_tag(&object), &object);
            self.store.edit(&key, |current| objects::in_place_of(current, &object)).await?;
        }
        Ok(())
    }

    /// The namespaces that are labelled with a tag.
    ///
    /// # Errors
    /// If the cluster does not say.
    pub async fn namespaces(&self, tag: &str) -> Result<Vec<String>, Error> {
        let namespaces = self.store.list(Resource::NAMESPACE, "").await?;
        let named = namespaces.iter().filter(|namespace| label(namespace, REVISION) == Some(tag));
        Ok(named.filter_map(name).map(str::to_owned).collect())
    }

    /// Takes a tag's objects away, whoever is labelled with it. Without the tag `default` the default revision's own
    /// webhook is in use again, if there is one, and it validates what names no revision.
    ///
    /// # Errors
    /// If there is no such tag, or the cluster refuses.
    pub async fn remove(&self, tag: &str) -> Result<(), Error> {
        let is_of_tag = |object: &Value| label(object, TAG) == Some(tag);
        let mutating = self.store.list(Resource::MUTATING, "").await?;
        let services = self.store.list(Resource::SERVICE, &self.namespace).await?;
        let mut found: Vec<Key> = Vec::new();
        found
            .extend(mutating.iter().filter(|one| is_of_tag(one)).map(|one| Key::of(Resource::MUTATING, one)));
        found.extend(services.iter().filter(|one| is_of_tag(one)).map(|one| Key::of(Resource::SERVICE, one)));
        // The default revision's chart has a validator of this tag without the tag.
        if found.is_empty() {
            return Err(Error::NoTag(tag.to_owned()));
        }
        for key in &found {
            self.store.delete(key).await?;
        }
        let default =
            mutating.iter().find(|one| label(one, REVISION) == Some(DEFAULT) && label(one, TAG).is_none());
        match default.filter(|_| tag == DEFAULT) {
            Some(default) => self.put_back(default).await,
            None => self.remove_validators(tag).await,
        }
    }

    async fn remove_validators(&self, tag: &str) -> Result<(), Error> {
        for object in self.store.list(Resource::VALIDATING, "").await? {
            if label(&object, TAG) == Some(tag) {
                self.store.delete(&Key::of(Resource::VALIDATING, &object)).await?;
            }
        }
        Ok(())
    }

    /// Puts the default revision's own webhook back into use, and lets it validate.
    async fn put_back(&self, default: &Value) -> Result<(), Error> {
        let place = objects::Place { tag: DEFAULT, revision: DEFAULT, namespace: &self.namespace };
        let key = Key::of(Resource::MUTATING, default);
        self.store.edit(&key, |current| objects::put_back(&place, current?)).await?;
        let key = Key::new(Resource::VALIDATING, "", objects::DEFAULT_VALIDATOR);
        let current = self.store.get(&key).await?;
        let object = objects::validator(&place, default, current.as_ref())?;
        self.store.edit(&key, |current| current.and_then(|_| objects::in_place_of(current, &object))).await?;
        Ok(())
    }

    async fn put_out_of_use(&self) -> Result<(), Error> {
        for webhook in self.store.list(Resource::MUTATING, "").await? {
            if label(&webhook, REVISION) == Some(DEFAULT) && label(&webhook, TAG).is_none() {
                let key = Key::of(Resource::MUTATING, &webhook);
                self.store.edit(&key, |current| current.map(objects::put_out_of_use)).await?;
            }
        }
        Ok(())
    }
}

/// What a namespace's label says to be of this entry.
fn asked_by<'a>(revision: &'a str, tag: &'a str) -> &'a str {
    if tag.is_empty() { revision } else { tag }
}

/// Tags are values of labels and parts of names.
fn check_name(tag: &str) -> Result<(), Error> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_well_formed =
        !tag.is_empty() && tag.bytes().all(inner) && !tag.starts_with('-') && !tag.ends_with('-');
    // The longest object is the Service, whose name is a DNS label.
    if is_well_formed && objects::SERVICE.len() + tag.len() <= 63 {
        Ok(())
    } else {
        Err(Error::Name(tag.to_owned()))
    }
}

#[cfg(test)]
mod tests;
