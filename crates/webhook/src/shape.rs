//! The shape that API objects have after they went through Go's types: no nulls, nothing that is empty where
//! empty means absent, quantities in their one form; and their JSON text in the order of Go's structs.

use serde_json::{Map, Value as Json};

use crate::quantity;

/// Numbers and truth values that are left out when they are zero. All other ones are pointers in Go.
const OMITTED: [&str; 15] = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "minReadySeconds",
    "paused",
    "hostPort",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
];

/// Text that stays though it is empty.
const KEPT: [&str; 4] = ["name", "storageClassName", "service", "key"];

/// Maps of a user's own keys, left out when they are empty.
pub(crate) const MAPS: [&str; 9] = [
    "labels",
    "annotations",
    "nodeSelector",
    "matchLabels",
    "limits",
    "requests",
    "overhead",
    "data",
    "volumeAttributes",
];

/// The fields of containers and of what is in them in the order of Go's structs.
const ORDER: [&str; 78] = [
    "containers",
    "initContainers",
    "name",
    "key",
    "image",
    "command",
    "args",
    "workingDir",
    "ports",
    "hostPort",
    "containerPort",
    "protocol",
    "hostIP",
    "envFrom",
    "prefix",
    "configMapRef",
    "secretRef",
    "env",
    "value",
    "valueFrom",
    "apiVersion",
    "fieldPath",
    "containerName",
    "resource",
    "divisor",
    "fieldRef",
    "resourceFieldRef",
    "configMapKeyRef",
    "secretKeyRef",
    "optional",
    "resources",
    "limits",
    "requests",
    "claims",
    "resizePolicy",
    "restartPolicy",
    "readOnly",
    "recursiveReadOnly",
    "mountPath",
    "subPath",
    "mountPropagation",
    "subPathExpr",
    "volumeMounts",
    "volumeDevices",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "postStart",
    "preStop",
    "lifecycle",
    "exec",
    "httpGet",
    "tcpSocket",
    "grpc",
    "path",
    "port",
    "host",
    "scheme",
    "httpHeaders",
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "terminationGracePeriodSeconds",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "add",
    "drop",
    "capabilities",
    "privileged",
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "readOnlyRootFilesystem",
    "allowPrivilegeEscalation",
    "securityContext",
];

/// Brings an object into that shape. Quantities that are none stay as they are, for others to refuse.
pub(crate) fn settle(value: &mut Json) {
    settle_but(value, is_absent);
}

/// The first half of that: nothing goes but nulls, so that what has a wrong type can still be seen.
pub(crate) fn settle_nulls(value: &mut Json) {
    settle_but(value, |_, value| value.is_null());
}

fn settle_but(value: &mut Json, is_absent: fn(&str, &Json) -> bool) {
    if let Json::Object(fields) = value {
        for (name, value) in fields.iter_mut() {
            match value {
                Json::Object(map) if MAPS.contains(&name.as_str()) => settle_map(name, map),
                _ if matches!(name.as_str(), "divisor" | "sizeLimit") => settle_quantity(value),
                _ => settle_but(value, is_absent),
            }
        }
        fields.retain(|name, value| !is_absent(name, value));
    } else if let Json::Array(items) = value {
        items.iter_mut().for_each(|item| settle_but(item, is_absent));
    }
}

fn settle_map(name: &str, map: &mut Map<String, Json>) {
    map.retain(|_, value| !value.is_null());
    if matches!(name, "limits" | "requests" | "overhead") {
        map.values_mut().for_each(settle_quantity);
    }
}

fn settle_quantity(value: &mut Json) {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(written) = quantity::canonical(text.trim()) {
        *value = Json::String(written);
    }
}

fn is_absent(name: &str, value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty() && MAPS.contains(&name),
        Json::String(text) => text.is_empty() && !KEPT.contains(&name),
        Json::Bool(false) => OMITTED.contains(&name),
        Json::Number(number) => number.as_i64() == Some(0) && OMITTED.contains(&name),
        Json::Bool(true) => false,
    }
}

/// A value's JSON as Go writes it: fields in the order of the struct, `<`, `>` and `&` escaped.
pub(crate) fn go_text(value: &Json) -> String {
    let mut out = String::new();
    write(&mut out, value, false);
    out.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn write(out: &mut String, value: &Json, is_map: bool) {
    match value {
        Json::Object(fields) => {
            let mut names: Vec<_> = fields.iter().collect();
            if !is_map {
                names.sort_by_key(|(name, _)| {
                    ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len())
                });
            }
            out.push('{');
            for (at, (name, value)) in names.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&Json::String(name.clone()).to_string());
                out.push(':');
                write(out, value, MAPS.contains(&name.as_str()));
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(out, item, false);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}
