//! Strategic merge: how Kubernetes lays one pod over another.
//!
//! Maps are merged by field. Of the lists, those of the tables below are merged by the key of their items,
//! every other one is replaced. Null takes away. The order of a merged list: what the overlay names comes in its
//! order, and before it what stood before it already.

use serde_json::{Map, Value as Json};

use crate::Error;

/// How a field that is a list is merged.
#[derive(Clone, Copy)]
enum Strategy {
    /// Items are objects with this key.
    By(&'static str, Schema),
    /// Items are plain and united.
    Unite,
}

/// What the fields of an object are.
#[derive(Clone, Copy)]
pub(crate) enum Schema {
    Pod,
    Meta,
    PodSpec,
    Container,
    Other,
}

impl Schema {
    fn list(self, field: &str) -> Option<Strategy> {
        use Strategy::{By, Unite};
        Some(match (self, field) {
            (Self::PodSpec, "containers" | "initContainers" | "ephemeralContainers") => {
                By("name", Self::Container)
            }
            (Self::PodSpec, "volumes" | "imagePullSecrets" | "schedulingGates" | "resourceClaims") => {
                By("name", Self::Other)
            }
            (Self::PodSpec, "hostAliases") => By("ip", Self::Other),
            (Self::PodSpec, "topologySpreadConstraints") => By("topologyKey", Self::Other),
            (Self::Container, "ports") => By("containerPort", Self::Other),
            (Self::Container, "env") => By("name", Self::Other),
            (Self::Container, "volumeMounts") => By("mountPath", Self::Other),
            (Self::Container, "volumeDevices") => By("devicePath", Self::Other),
            (Self::Meta, "ownerReferences") => By("uid", Self::Other),
            (Self::Meta, "finalizers") => Unite,
            _ => return None,
        })
    }

    fn field(self, field: &str) -> Self {
        match (self, field) {
            (Self::Pod, "metadata") => Self::Meta,
            (Self::Pod, "spec") => Self::PodSpec,
            _ => Self::Other,
        }
    }
}

/// Lays `overlay` over `base`.
pub(crate) fn overlay(base: &mut Json, overlay: Json, schema: Schema) -> Result<(), Error> {
    match (base, overlay) {
        (_, Json::Null) => Ok(()),
        (Json::Object(base), Json::Object(overlay)) => merge(base, overlay, schema, ""),
        (base, overlay) => {
            *base = cleaned(overlay);
            Ok(())
        }
    }
}

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

fn merge(
    base: &mut Map<String, Json>,
    mut overlay: Map<String, Json>,
    schema: Schema,
    at: &str,
) -> Result<(), Error> {
    match overlay.remove(DIRECTIVE).as_ref().map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => {
            *base = without_nulls(overlay);
            return Ok(());
        }
        Some("delete") => {
            base.clear();
            return Ok(());
        }
        Some(other) => return Err(Error::Directive { field: at.to_owned(), directive: other.to_owned() }),
    }
    if let Some(Json::Array(kept)) = overlay.remove(RETAIN) {
        base.retain(|name, _| kept.iter().any(|kept| kept == name));
    }
    for (name, value) in overlay {
        if let Some(list) = name.strip_prefix(DELETE) {
            if let (Some(Json::Array(present)), Json::Array(gone)) = (base.get_mut(list), value) {
                present.retain(|item| !gone.contains(item));
            }
        } else if !name.starts_with(ORDER) {
            merge_field(base, name, value, schema)?;
        }
    }
    Ok(())
}

fn merge_field(base: &mut Map<String, Json>, name: String, value: Json, schema: Schema) -> Result<(), Error> {
    if value.is_null() {
        base.remove(&name);
        return Ok(());
    }
    match (base.get_mut(&name), value) {
        (Some(Json::Object(present)), Json::Object(value)) => {
            merge(present, value, schema.field(&name), &name)
        }
        (Some(Json::Array(present)), Json::Array(value)) => {
            merge_list(present, value, schema.list(&name), &name)
        }
        (_, value) => {
            base.insert(name, cleaned(value));
            Ok(())
        }
    }
}

fn merge_list(
    base: &mut Vec<Json>,
    overlay: Vec<Json>,
    strategy: Option<Strategy>,
    name: &str,
) -> Result<(), Error> {
    match strategy {
        None => *base = overlay.into_iter().map(cleaned).collect(),
        Some(Strategy::Unite) => {
            for item in overlay {
                if !base.contains(&item) {
                    base.push(item);
                }
            }
        }
        Some(Strategy::By(key, schema)) => merge_items(base, overlay, (key, schema), name)?,
    }
    Ok(())
}

fn merge_items(
    base: &mut Vec<Json>,
    overlay: Vec<Json>,
    (key, schema): (&'static str, Schema),
    name: &str,
) -> Result<(), Error> {
    let mut overlay = overlay;
    if take_list_directives(base, &mut overlay, key, name)? {
        *base = overlay.into_iter().map(cleaned).collect();
        return Ok(());
    }
    let order: Vec<Json> = base.iter().filter_map(|item| item.get(key).cloned()).collect();
    let mut named = Vec::with_capacity(overlay.len());
    for item in overlay {
        let id = item.get(key).cloned().ok_or_else(|| Error::NoKey { list: name.to_owned(), key })?;
        match (base.iter_mut().find(|known| known.get(key) == Some(&id)), item) {
            (Some(Json::Object(known)), Json::Object(item)) => merge(known, item, schema, name)?,
            (Some(_), _) => {}
            (None, item) => base.push(cleaned(item)),
        }
        named.push(id);
    }
    *base = in_order(std::mem::take(base), &named, &order, key);
    Ok(())
}

/// Handles the items that are directives; true: the list is replaced by what is left of the overlay.
fn take_list_directives(
    base: &mut Vec<Json>,
    overlay: &mut Vec<Json>,
    key: &'static str,
    name: &str,
) -> Result<bool, Error> {
    let (directives, items): (Vec<_>, Vec<_>) = std::mem::take(overlay).into_iter().partition(|item| {
        item.get(DIRECTIVE).and_then(Json::as_str).is_some_and(|directive| directive != "merge")
    });
    *overlay = items;
    let mut replaces = false;
    for item in directives {
        match item.get(DIRECTIVE).and_then(Json::as_str).unwrap_or_default() {
            "replace" => replaces = true,
            "delete" => {
                let id = item.get(key).ok_or_else(|| Error::NoKey { list: name.to_owned(), key })?;
                base.retain(|known| known.get(key) != Some(id));
            }
            other => return Err(Error::Directive { field: name.to_owned(), directive: other.to_owned() }),
        }
    }
    Ok(replaces)
}

/// What the overlay names, in its order; before each item of it what stood before that item already.
fn in_order(items: Vec<Json>, named: &[Json], before: &[Json], key: &str) -> Vec<Json> {
    let id = |item: &Json| item.get(key).cloned().unwrap_or_default();
    let place = |list: &[Json], id: &Json| list.iter().position(|known| known == id);
    let (mut ours, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| named.contains(&id(item)));
    ours.sort_by_key(|item| place(named, &id(item)));
    let mut out = Vec::with_capacity(ours.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in ours {
        let here = place(before, &id(&item));
        while let Some(other) = others
            .next_if(|other| here.is_some_and(|here| place(before, &id(other)).is_some_and(|at| at < here)))
        {
            out.push(other);
        }
        out.push(item);
    }
    out.extend(others);
    out
}

/// A value as it is taken over whole: without nulls and directives.
fn cleaned(value: Json) -> Json {
    match value {
        Json::Object(fields) => Json::Object(without_nulls(fields)),
        Json::Array(items) => Json::Array(
            items
                .into_iter()
                .filter(|item| item.get(DIRECTIVE).and_then(Json::as_str) != Some("delete"))
                .map(cleaned)
                .collect(),
        ),
        plain => plain,
    }
}

fn without_nulls(fields: Map<String, Json>) -> Map<String, Json> {
    let given = fields.into_iter().filter(|(name, value)| {
        !value.is_null()
            && !name.starts_with(ORDER)
            && !name.starts_with(DELETE)
            && name != DIRECTIVE
            && name != RETAIN
    });
    given.map(|(name, value)| (name, cleaned(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(base: Json, over: Json, expected: Json) {
        let mut merged = base;
        overlay(&mut merged, over, Schema::Pod).unwrap();
        assert_eq!(merged, expected);
    }

    #[test]
    fn lists_with_keys_are_merged_and_others_replaced() {
        check(
            json!({"spec": {"containers": [{"name": "a", "args": ["1"], "env": [{"name": "X", "value": "1"}]}]}}),
            json!({"spec": {"containers": [
                {"name": "p"}, {"name": "a", "args": ["2"], "env": [{"name": "Y", "value": "2"}]}]}}),
            json!({"spec": {"containers": [
                {"name": "p"}, {"name": "a", "args": ["2"], "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}]}}),
        );
        check(
            json!({"spec": {"volumes": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}}),
            json!({"spec": {"volumes": [{"name": "n"}, {"name": "b", "emptyDir": null}, {"name": "m"}]}}),
            json!({"spec": {"volumes": [{"name": "n"}, {"name": "a"}, {"name": "b"}, {"name": "m"}, {"name": "c"}]}}),
        );
    }

    #[test]
    fn null_takes_away_and_is_never_taken_over() {
        check(
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null}}, "spec": {"volumes": [{"name": "x", "emptyDir": null}]}}),
            json!({"metadata": {"labels": {"b": "2"}}, "spec": {"volumes": [{"name": "x"}]}}),
        );
    }

    #[test]
    fn directives() {
        check(
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "securityContext": {"runAsUser": 1}}}),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}],
                "securityContext": {"$patch": "replace", "runAsGroup": 2}}}),
            json!({"spec": {"containers": [{"name": "b"}], "securityContext": {"runAsGroup": 2}}}),
        );
    }

    #[test]
    fn an_item_without_its_key_is_an_error() {
        let mut base = json!({"spec": {"containers": [{"name": "a"}]}});
        let error =
            overlay(&mut base, json!({"spec": {"containers": [{"image": "x"}]}}), Schema::Pod).unwrap_err();
        assert_eq!(
            error.to_string(),
            "strategic merge: an item of containers has no name, by which the list is merged"
        );
    }
}
