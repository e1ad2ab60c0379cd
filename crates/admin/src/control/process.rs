//! What the system says of this process.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Memory in bytes, under the names of Go's statistics that have a counterpart.
pub(super) fn memory() -> Value {
    let of = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default() * 1024;
    json!({"Alloc": of("RssAnon"), "HeapAlloc": of("RssAnon"), "Sys": of("VmRSS"), "HeapSys": of("VmData")})
}

/// Who the process is to the system.
pub(super) fn process() -> Value {
    let numbers = |name: &str| -> Vec<u32> {
        let text = line(name).unwrap_or_default();
        text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
    };
    let at = |name: &str, place: usize| numbers(name).get(place).copied().unwrap_or_default();
    let folder = fs::read_link("/proc/self/cwd").unwrap_or_default();
    json!({
        "uid": at("Uid", 0),
        "euid": at("Uid", 1),
        "gid": at("Gid", 0),
        "egid": at("Gid", 1),
        "groups": numbers("Groups"),
        "pid": at("Pid", 0),
        "ppid": at("PPid", 0),
        "wd": folder.to_string_lossy(),
        "hostname": host(),
        "threads": at("Threads", 0),
    })
}

/// What the first page of istiod's shows.
pub(super) fn home(arguments: &[String]) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "ProcessName": arguments.first(),
        "HeapSize": memory()["HeapAlloc"],
        "CurrentTime": u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        "Hostname": host(),
    })
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The first word of a line of `/proc/self/status`.
fn field(name: &str) -> Option<String> {
    line(name)?.split_whitespace().next().map(str::to_owned)
}

fn line(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    rest.map(str::to_owned)
}
