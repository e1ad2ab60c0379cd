//! Keys and certificates of a control plane, made anew for each.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::{Error, Result, io};

/// Who may do everything.
pub const ADMIN_TOKEN: &str = "admin-token";

/// The files of a control plane.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Makes all of them in a folder; the server is known by these addresses beside its names.
    pub fn make(folder: &Path, addresses: &[Ipv4Addr]) -> Result<Self> {
        io("making a folder for keys", fs::create_dir_all(folder))?;
        let files = Self { folder: folder.to_owned() };
        files.certificates(addresses).map_err(|error| Error::refused("making certificates", error))??;
        let tokens = format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n");
        files.write("tokens.csv", &tokens)?;
        Ok(files)
    }

    /// The path of one: `ca.crt`, `server.crt`, `server.key`, `accounts.key`, `accounts.pub`, `tokens.csv`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        io(format!("writing {name}"), fs::write(self.path(name), text))
    }

    fn certificates(&self, addresses: &[Ipv4Addr]) -> std::result::Result<Result<()>, rcgen::Error> {
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "cluster");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root_key = KeyPair::generate()?;
        let root_pem = root.self_signed(&root_key)?.pem();
        let issuer = Issuer::new(root, root_key);

        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let mut server = CertificateParams::new(names.map(str::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server
            .subject_alt_names
            .extend(addresses.iter().map(|address| SanType::IpAddress((*address).into())));
        let server_key = KeyPair::generate()?;
        let server_pem = server.signed_by(&server_key, &issuer)?.pem();

        let accounts = KeyPair::generate()?;
        Ok([
            ("ca.crt", root_pem),
            ("server.crt", server_pem),
            ("server.key", server_key.serialize_pem()),
            ("accounts.key", accounts.serialize_pem()),
            ("accounts.pub", accounts.public_key_pem()),
        ]
        .into_iter()
        .try_for_each(|(name, pem)| self.write(name, &pem)))
    }
}
