//! Development certificates, made at first start so that TLS works before anybody has bought one.
//!
//! An authority of our own signs one certificate for this machine. Both keys stay readable by their
//! owner alone, and a certificate older than [`RENEW_AFTER`] is made anew.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The files of a development certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevCertificate {
    /// PEM: the authority, for phones that are to believe us.
    pub authority: PathBuf,
    /// PEM: the certificate and the authority behind it.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Why no development certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The folder or a file in it cannot be written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A host name that no certificate can carry.
    #[error("development certificate: {0}")]
    Name(#[from] rcgen::Error),
}

/// A development certificate is replaced at the first start after this age, well before it ends.
pub const RENEW_AFTER: Duration = Duration::from_secs(300 * 24 * 3_600);

/// Finds the development certificate in `folder`, or makes one for `localhost`, the loopback
/// addresses and `hosts` (names or addresses).
///
/// # Errors
/// [`CertificateError`] if the folder cannot be written or a host is no name.
pub fn ensure(folder: &Path, hosts: &[String]) -> Result<DevCertificate, CertificateError> {
    let files = DevCertificate {
        authority: folder.join("authority.pem"),
        certificate: folder.join("server.pem"),
        key: folder.join("server.key.pem"),
    };
    let hosts = wanted_hosts(hosts);
    let note = folder.join("hosts.pem");
    let listed = hosts
        .iter()
        .map(|host| format!("# {host}\n"))
        .collect::<String>();
    let same_hosts = fs::read_to_string(&note).is_ok_and(|text| text == listed);
    let fresh = same_hosts
        && [&files.authority, &files.certificate, &files.key]
            .iter()
            .all(|path| is_fresh(path));
    if fresh {
        return Ok(files);
    }
    fs::create_dir_all(folder).map_err(|error| CertificateError::File {
        path: folder.to_owned(),
        error,
    })?;
    let made = make(&hosts)?;
    write(&files.authority, &made.authority, 0o644)?;
    write(&files.certificate, &made.chain, 0o644)?;
    write(&files.key, &made.key, 0o600)?;
    write(&note, &listed, 0o644)?;
    Ok(files)
}

struct Made {
    authority: String,
    chain: String,
    key: String,
}

fn make(hosts: &[String]) -> Result<Made, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority
        .distinguished_name
        .push(DnType::CommonName, "Tandem development authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    limit_validity(&mut authority);
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(hosts.to_vec())?;
    server
        .distinguished_name
        .push(DnType::CommonName, "Tandem development server");
    server.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    server.use_authority_key_identifier_extension = true;
    limit_validity(&mut server);
    let certificate = server.signed_by(&key, &issuer)?;
    let authority = authority_certificate.pem();
    Ok(Made {
        chain: certificate.pem() + &authority,
        authority,
        key: key.serialize_pem(),
    })
}

/// From yesterday, for clocks that are behind, to 397 days from now, the most that browsers accept.
fn limit_validity(certificate: &mut CertificateParams) {
    let today = jiff::Zoned::now()
        .with_time_zone(jiff::tz::TimeZone::UTC)
        .date();
    let in_days = |days: i64| {
        let date = today.saturating_add(jiff::Span::new().days(days));
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    certificate.not_before = in_days(-1);
    certificate.not_after = in_days(397);
}

fn wanted_hosts(extra: &[String]) -> Vec<String> {
    let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    for host in extra {
        let unspecified = host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_unspecified());
        if !unspecified && !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}

fn is_fresh(path: &Path) -> bool {
    let age = fs::metadata(path)
        .and_then(|data| data.modified())
        .ok()
        .map(|made| made.elapsed());
    // A file from the future (a clock set back) is as good as new.
    age.is_some_and(|age| age.unwrap_or_default() < RENEW_AFTER)
}

/// Writes beside and renames, so that a reader never sees half a key.
pub(in crate::io) fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let beside = path.with_extension("new");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| CertificateError::File {
        path: path.to_owned(),
        error,
    })
}
