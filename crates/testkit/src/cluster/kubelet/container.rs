//! One container as a process: its environment, its folder as a root, its mounts, its user.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};
use tokio::process::{Child, Command};

use super::spec::{self, Environment, expand};
use super::volumes::Volumes;
use super::{Image, Node};
use crate::cluster::{Error, Result, io};

/// Folders that Istio's images have and that its programs write into.
const WRITABLE: [&str; 4] = ["etc/istio/proxy", "var/lib/istio/data", "var/run/secrets", "tmp"];

/// Makes the mounts of a container, then becomes what `"$@"` says. Programs read `/etc/hosts`, their token at its
/// absolute path, and each other in `/usr/local/bin`.
const ENTER: &str = "mount --bind \"$PLAYED_HOSTS\" /etc/hosts
mount --bind \"$PLAYED_RESOLV\" /etc/resolv.conf
mount -t tmpfs run /run
mkdir -p /run/secrets /run/lock
mount --bind \"$PLAYED_ROOT/var/run/secrets\" /run/secrets
mount -t tmpfs bin /usr/local/bin
for program in $PLAYED_PROGRAMS; do ln -s \"$program\" /usr/local/bin/; done
unset PLAYED_HOSTS PLAYED_RESOLV PLAYED_ROOT PLAYED_PROGRAMS
exec \"$@\"";

/// A started container.
pub(super) struct Running {
    pub(super) container: Container,
    child: Child,
    pub(super) pid: u32,
}

impl Running {
    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus> {
        io(format!("waiting for {}", self.container.name), self.child.wait().await)
    }

    /// Asks it to end.
    pub(super) async fn terminate(&self) {
        // Gone already is as good.
        let _ = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await;
    }
}

/// What containers of one pod share.
pub(super) struct Place<'a> {
    pub(super) node: &'a Node,
    pub(super) pod: &'a Pod,
    /// Its network namespace.
    pub(super) network: &'a str,
    /// `volumes/<name>` and `<container>/` are below.
    pub(super) folder: &'a Path,
}

impl Place<'_> {
    /// Starts a container; its output goes on in its log.
    pub(super) async fn start(&self, container: &Container) -> Result<Running> {
        let image_name = container.image.as_deref().unwrap_or_default();
        let image = self.node.image(image_name);
        let image = image.ok_or_else(|| Error::refused(image_name, "no image of that name is known here"))?;
        let root = self.root(container, image)?;
        let environment = self.environment(container, &root).await?;
        let words = words(container, image, &environment);
        let (user, group) = spec::user(&spec::of(self.pod), container);
        let mut command = self.node.network.inside(self.network);
        command.args(["unshare", "-m", "sh", "-ec", ENTER, "sh", "setpriv", "--clear-groups"]);
        command.arg(format!("--reuid={}", user.unwrap_or(image.user)));
        command.arg(format!("--regid={}", group.unwrap_or(image.user))).args(words);
        command.env_clear().envs(&environment).current_dir(&root);
        self.enter(&mut command, image, &root);
        let log = io("opening a log", File::options().create(true).append(true).open(root.join("log")))?;
        let errors = io("opening a log", log.try_clone())?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0).kill_on_drop(true);
        let child = io(format!("starting {}", container.name), command.spawn())?;
        let pid = child.id().unwrap_or_default();
        io("noting a process", fs::write(root.join("pid"), pid.to_string()))?;
        Ok(Running { container: container.clone(), child, pid })
    }

    /// What the first script is told; it is gone when the program starts.
    fn enter(&self, command: &mut Command, image: &Image, root: &Path) {
        let programs: Vec<String> =
            image.programs.iter().map(|program| program.display().to_string()).collect();
        command.env("PLAYED_HOSTS", &self.node.settings.hosts);
        command.env("PLAYED_RESOLV", self.node.settings.hosts.with_file_name("resolv.conf"));
        command.env("PLAYED_ROOT", root).env("PLAYED_PROGRAMS", programs.join(" "));
    }

    /// The folder that a container has for a root, with its volumes and its image's files in place.
    fn root(&self, container: &Container, image: &Image) -> Result<PathBuf> {
        let root = self.folder.join(&container.name);
        io("making a container's folder", fs::create_dir_all(&root))?;
        let mut mounts: Vec<_> = container.volume_mounts.iter().flatten().collect();
        mounts.sort_by_key(|mount| mount.mount_path.len());
        for mount in mounts {
            let volume = self.folder.join("volumes").join(&mount.name);
            let volume = volume.join(mount.sub_path.as_deref().unwrap_or_default());
            link(&volume, &below(&root, &mount.mount_path))?;
        }
        for (place, file) in &image.files {
            link(file, &below(&root, place))?;
        }
        for folder in WRITABLE {
            let mut folder = root.join(folder);
            io("making a container's folders", fs::create_dir_all(&folder))?;
            while folder.starts_with(&root) {
                let mode = fs::Permissions::from_mode(0o777);
                io("opening a container's folders", fs::set_permissions(&folder, mode))?;
                folder.pop();
            }
        }
        Ok(root)
    }

    async fn environment(&self, container: &Container, root: &Path) -> Result<Environment> {
        let own = [
            ("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOSTNAME", self.pod.metadata.name.clone().unwrap_or_default()),
            ("HOME", root.display().to_string()),
            ("KUBERNETES_SERVICE_HOST", crate::cluster::network::NODE.to_string()),
            ("KUBERNETES_SERVICE_PORT", "6443".to_owned()),
        ];
        let mut variables: Environment = own.map(|(name, value)| (name.to_owned(), value)).into();
        for variable in container.env.iter().flatten() {
            let value = match (&variable.value, &variable.value_from) {
                (Some(value), _) => Some(expand(value, &variables)),
                (None, Some(source)) => self.value(source).await?,
                (None, None) => Some(String::new()),
            };
            variables.extend(value.map(|value| (variable.name.clone(), value)));
        }
        Ok(variables)
    }

    async fn value(&self, source: &EnvVarSource) -> Result<Option<String>> {
        if let Some(field) = &source.field_ref {
            return Ok(Some(spec::field(self.pod, &field.field_path)));
        }
        if let Some(resource) = &source.resource_field_ref {
            return Ok(Some(spec::resource(&resource.resource)));
        }
        let volumes = Volumes { api: &self.node.api, pod: self.pod };
        let (key, content) = if let Some(one) = &source.config_map_key_ref {
            (&one.key, volumes.config_map(&one.name, one.optional).await?)
        } else if let Some(one) = &source.secret_key_ref {
            (&one.key, volumes.secret(&one.name, one.optional).await?)
        } else {
            return Ok(None);
        };
        Ok(content.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }
}

fn words(container: &Container, image: &Image, variables: &Environment) -> Vec<String> {
    let own = container.command.as_deref().unwrap_or_default();
    let arguments = container.args.as_deref().unwrap_or_default();
    let rest = own.iter().skip(1).chain(arguments).map(|word| expand(word, variables));
    image.command.iter().cloned().chain(rest).collect()
}

/// A place inside a root.
fn below(root: &Path, place: &str) -> PathBuf {
    root.join(place.trim_start_matches('/').trim_end_matches('/'))
}

/// Puts something in its place, unless it is there from the start before.
fn link(target: &Path, place: &Path) -> Result<()> {
    let what = || format!("linking {}", place.display());
    io(what(), place.parent().map_or(Ok(()), fs::create_dir_all))?;
    match symlink(target, place) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => io(what(), other),
    }
}
