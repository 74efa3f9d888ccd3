//! Certificates between whole servers: a trunk shows its own, and is known by the one that it shows.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::io::net::certs::{self, DevCertificate};
use crate::trunk::TargetState;

/// A certificate of that name, in a folder of the home.
fn certificate(home: &Home, name: &str) -> DevCertificate {
    certs::ensure(&home.0.join(name), &[name.to_owned()]).unwrap()
}

/// A configuration of TLS alone: its own certificate, whom it believes, and whom it lets in.
fn configuration(own: &DevCertificate, believes: &Path, clients: &str, more: &str) -> String {
    format!(
        "tls = [{{ address = \"127.0.0.1:0\"{clients} }}]\ntrust = {believes:?}\n\
         [sip.certificate]\nchain = {:?}\nkey = {:?}\n{more}",
        own.certificate, own.key
    )
}

impl Home {
    fn write_tls(&self, own: &DevCertificate, believes: &Path, clients: &str, more: &str) {
        self.write("");
        let path = self.0.join("tandem.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let tls = configuration(own, believes, clients, more);
        std::fs::write(path, text.replace("tls = []\n", &tls)).unwrap();
    }
}

fn tls_address(server: &Server) -> SocketAddr {
    let bound = server.bound();
    let tls = sip::transport::Transport::Tls;
    bound
        .iter()
        .find(|it| it.config.transport == tls)
        .unwrap()
        .local
}

/// Asks for a target's state until it is what is wanted.
async fn comes_to(server: &Server, trunk: &'static str, wanted: TargetState) {
    let until = async {
        loop {
            let look = move |control: &mut Control| {
                let now = clock::Now::ZERO + Duration::from_secs(1);
                let all = control.trunk_snapshots(now);
                let found = all.into_iter().find(|it| it.name == trunk);
                found.and_then(|it| it.targets.first().map(|target| target.state))
            };
            if seen(server, look).await == Some(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(20), until).await;
    assert!(came.is_ok(), "{trunk} never was {wanted:?}");
}

/// What an OPTIONS is answered over TLS by whoever shows that certificate; `None` if he is not let in.
async fn options(
    server: &Server,
    believes: &Path,
    shows: Option<&DevCertificate>,
) -> Option<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(believes).unwrap())
        .unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(ring);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let config = match shows {
        None => config.with_no_client_auth(),
        Some(it) => {
            let chain = CertificateDer::pem_file_iter(&it.certificate).unwrap();
            let chain = chain.map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_file(&it.key).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let tcp = tokio::net::TcpStream::connect(tls_address(server))
        .await
        .unwrap();
    let me = tcp.local_addr().unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, tcp).await.ok()?;
    let text = format!(
        "OPTIONS sip:{me} SIP/2.0\r\nVia: SIP/2.0/TLS {me};branch=z9hG4bKo\r\nMax-Forwards: 70\r\n\
         From: <sip:me@{me}>;tag=1\r\nTo: <sip:{me}>\r\nCall-ID: {me}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    let mut buffer = [0; 2_048];
    let read = stream.read(&mut buffer);
    let length = tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .ok()?
        .ok()?;
    let answer = String::from_utf8_lossy(buffer.get(..length)?).into_owned();
    answer.lines().next().map(str::to_owned)
}

#[test]
fn a_trunk_shows_its_certificate_and_is_known_by_it_and_a_reload_changes_both() {
    let (carrier, ours) = (Home::new(), Home::new());
    let theirs = certificate(&carrier, "sip.carrier.example");
    let shown = certificate(&ours, "tandem.example");
    let clients = format!(", client_authorities = {:?}", shown.authority);
    let known = |name: &str| format!("[trunks.tandem]\ntls_caller = \"{name}\"\n");
    let sends = |at: SocketAddr, more: &str| {
        format!(
            "[trunks.carrier]\nsend_to = [\"{at}\"]\ntransport = \"tls\"\n{more}\n[trunks.carrier.health]\ninterval = \"1s\"\ntimeout = \"500ms\"\ndown_after = 1\n"
        )
    };
    runtime().unwrap().block_on(async {
        carrier.write_tls(
            &theirs,
            &theirs.authority,
            &clients,
            &known("tandem.example"),
        );
        let there = Server::start(carrier.config()).await.unwrap();
        let at = tls_address(&there);
        let shows = format!(
            "tls_name = \"sip.carrier.example\"\ntls_certificate = {:?}\ntls_key = {:?}",
            shown.certificate, shown.key
        );
        ours.write_tls(&shown, &theirs.authority, "", &sends(at, &shows));
        let here = Server::start(ours.config()).await.unwrap();
        comes_to(&here, "carrier", TargetState::Up).await;

        // Nothing shown, or another name asked for: nobody is reached, from the next connection on.
        let reload = async |more: &str| {
            ours.write_tls(&shown, &theirs.authority, "", &sends(at, more));
            here.reload().await.unwrap();
        };
        reload("tls_name = \"sip.carrier.example\"").await;
        comes_to(&here, "carrier", TargetState::Down).await;
        reload(&shows).await;
        comes_to(&here, "carrier", TargetState::Up).await;
        reload(&shows.replace("sip.carrier.example", "sip.other.example")).await;
        comes_to(&here, "carrier", TargetState::Down).await;

        // A certificate that is not there refuses the reload, and says whose it is.
        let gone = shows.replace(".pem", ".gone");
        ours.write_tls(&shown, &theirs.authority, "", &sends(at, &gone));
        let mistakes = here.reload().await.unwrap_err();
        assert!(mistakes[0].starts_with("trunks.carrier: "), "{mistakes:?}");

        // The caller: let in by the authority, known by the name.
        let trust = &theirs.authority;
        assert_eq!(options(&there, trust, None).await, None);
        let answer = options(&there, trust, Some(&shown)).await.unwrap();
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        carrier.write_tls(
            &theirs,
            &theirs.authority,
            &clients,
            &known("other.example"),
        );
        there.reload().await.unwrap();
        let answer = options(&there, trust, Some(&shown)).await.unwrap();
        assert!(answer.starts_with("SIP/2.0 403"), "{answer}");
        here.stop().await.unwrap();
        there.stop().await.unwrap();
    });
}
