//! Browsers' phones at a whole server: the handshake over HTTP and HTTPS, and registration by digest.

use futures_util::{SinkExt, StreamExt};
use sip::auth::{self, Credentials};
use sip::message::{Message as Sip, Name};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::*;

/// A page: its WebSocket, and what it says of itself in SIP.
pub(super) struct Page<S> {
    socket: WebSocketStream<S>,
    /// Whom it registers.
    pub(super) user: String,
    pub(super) device: &'static str,
    cseq: u32,
}

/// The handshake of a page of this server, with one header changed; the status if it is refused.
pub(super) async fn open(
    http: SocketAddr,
    (name, value): (&'static str, &str),
) -> Result<Page<TcpStream>, (u16, String)> {
    let mut request = format!("ws://{http}/sip").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", format!("http://{http}").parse().unwrap());
    headers.insert("sec-websocket-protocol", "sip".parse().unwrap());
    match value {
        "" => drop(headers.remove(name)),
        value => drop(headers.insert(name, value.parse().unwrap())),
    }
    let stream = TcpStream::connect(http).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(Page {
            socket,
            user: "anna".to_owned(),
            device: "f0342a7d-4f10-4692-abdb-99484c26d1ad",
            cseq: 0,
        }),
        Err(Error::Http(response)) => {
            let status = response.status().as_u16();
            let body = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
            Err((status, body))
        }
        Err(other) => panic!("{other}"),
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Page<S> {
    /// As JsSIP words it.
    pub(super) async fn send_register(&mut self, authorization: &str) {
        self.cseq += 1;
        let (cseq, device, user) = (self.cseq, self.device, &self.user);
        let text = format!(
            "REGISTER sip:127.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/WS t98j4qsqlv0r.invalid;branch=z9hG4bK{cseq}\r\nMax-Forwards: 69\r\n\
             To: <sip:{user}@127.0.0.1>\r\nFrom: <sip:{user}@127.0.0.1>;tag=6uepi48fsv\r\n\
             Call-ID: jbh2ara8coskuo6sg1vpei{device}\r\nCSeq: {cseq} REGISTER\r\n{authorization}\
             Contact: <sip:cbj0o1pr@t98j4qsqlv0r.invalid;transport=ws>;+sip.ice;reg-id=1;\
             +sip.instance=\"<urn:uuid:{device}>\";expires=600\r\nExpires: 600\r\n\
             Supported: path,gruu,outbound\r\nUser-Agent: JsSIP 3.13.8\r\nContent-Length: 0\r\n\r\n"
        );
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Waits until the server has closed it, at most five seconds.
    pub(super) async fn is_closed(&mut self) {
        let closed = async {
            loop {
                match self.socket.next().await {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return,
                    Some(Ok(_)) => {}
                }
            }
        };
        let closed = tokio::time::timeout(Duration::from_secs(5), closed).await;
        assert!(closed.is_ok(), "still open");
    }

    pub(super) async fn next(&mut self) -> Sip {
        let read = tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await;
        let Message::Text(text) = read.unwrap().unwrap().unwrap() else {
            panic!("no text");
        };
        Sip::parse(bytes::Bytes::from(text)).unwrap()
    }

    /// Registers; the algorithms that were offered, in order, and the last answer.
    pub(super) async fn register(&mut self, password: &str) -> (Vec<String>, Sip) {
        self.send_register("").await;
        let challenged = self.next().await;
        let values = challenged.headers(Name::WwwAuthenticate).map(str::to_owned);
        let values: Vec<String> = values.collect();
        // The last counts, as it does for JsSIP and SIP.js.
        let last = values.last().map(|it| auth::Challenge::parse(it).unwrap());
        let credentials = Credentials::password(&self.user, password);
        let exchange = ("REGISTER", "sip:127.0.0.1", &b""[..]);
        let last: Vec<auth::Challenge> = last.into_iter().collect();
        let proof = auth::answer(&last, &credentials, exchange, "c0ffee", 1).unwrap();
        self.send_register(&format!("Authorization: {proof}\r\n"))
            .await;
        let word = |value: &String| {
            let from = value.find("algorithm=").unwrap();
            let rest = &value[from + 10..];
            rest[..rest.find(',').unwrap_or(rest.len())].to_owned()
        };
        (values.iter().map(word).collect(), self.next().await)
    }
}

async fn where_anna_is(server: &Server) -> Vec<SocketAddr> {
    let look = |control: &mut Control| {
        let now = clock::Now::ZERO + Duration::from_secs(1);
        let bindings = control.contacts(now, "anna");
        bindings.into_iter().map(|(_, at, _)| at).collect()
    };
    seen(server, look).await
}

const ANNA: &str = "[endpoints.anna]\npassword = \"sesame\"\ndigest = \"both\"\n";

// covers: RFC 7118 §4, RFC 7118 §5, RFC 5626 §6, RFC 8760 §2.3
#[test]
fn a_page_registers_by_digest_and_by_a_new_connection_takes_its_own_place() {
    let home = Home::new();
    home.write(ANNA);
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let none = ("x-nothing", "");
        let mut page = open(server.http(), none).await.unwrap();
        let (offered, answer) = page.register("sesame").await;
        assert_eq!(
            offered,
            ["SHA-256", "MD5"],
            "whoever takes the last gets MD5"
        );
        assert_eq!(answer.status(), Some(200));
        let contact = answer.header(Name::Contact).unwrap();
        assert!(
            contact.contains("reg-id=1") && contact.contains(".invalid"),
            "{contact}"
        );
        assert_eq!(answer.header_named("Require"), Some("outbound"));
        let first = page.socket.get_ref().local_addr().unwrap();
        assert_eq!(where_anna_is(&server).await, [first]);
        // The page's network changed: the old connection is not even closed.
        let mut again = open(server.http(), none).await.unwrap();
        again.cseq = page.cseq;
        assert_eq!(again.register("sesame").await.1.status(), Some(200));
        let second = again.socket.get_ref().local_addr().unwrap();
        assert_eq!(where_anna_is(&server).await, [second]);
        drop(page);
        let mut wrong = open(server.http(), none).await.unwrap();
        wrong.cseq = 10;
        assert_eq!(wrong.register("guess").await.1.status(), Some(401));
        assert_eq!(where_anna_is(&server).await, [second]);
        drop(again);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(where_anna_is(&server).await, []);
        server.stop().await.unwrap();
    });
}

// covers: RFC 7118 §4, RFC 6455 §10.2
#[test]
fn a_handshake_that_is_no_phones_is_refused_with_words_and_a_listed_site_is_let_in() {
    let home = Home::new();
    home.write("");
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let table = [
            ("sec-websocket-protocol", "chat", 400, "web-subprotocol"),
            ("sec-websocket-protocol", "", 400, "web-subprotocol"),
            ("origin", "", 403, "web-origin"),
            ("origin", "https://evil.example", 403, "web-origin"),
            ("host", "evil.example", 403, "web-origin"),
            ("upgrade", "h2c", 426, "web-no-websocket"),
            ("sec-websocket-version", "8", 426, "web-no-websocket"),
        ];
        for (name, value, status, id) in table {
            let refused = open(server.http(), (name, value)).await.err().unwrap();
            assert_eq!(refused.0, status, "{name}: {value}");
            let body: serde_json::Value = serde_json::from_str(&refused.1).unwrap();
            assert_eq!(body["error"]["id"], id, "{name}: {value}");
        }
        server.stop().await.unwrap();
        let path = home.0.join("tandem.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let listed = "[http]\norigins = [\"https://desk.example\"]\n";
        std::fs::write(&path, text.replace("[http]\n", listed)).unwrap();
        let server = Server::start(home.config()).await.unwrap();
        assert!(
            open(server.http(), ("origin", "https://desk.example"))
                .await
                .is_ok()
        );
        assert!(open(server.http(), ("x-nothing", "")).await.is_err());
        server.stop().await.unwrap();
    });
}

/// HTTPS with the operator's certificate, which a reload renews.
#[test]
fn a_page_comes_over_https_with_the_certificate_in_force() {
    let home = Home::new();
    home.write(ANNA);
    let made = |folder: &str| {
        let made = crate::io::net::certs::ensure(&home.0.join(folder), &[]).unwrap();
        (std::fs::read(&made.certificate).unwrap(), made)
    };
    let ((_, own), (_, new)) = (made("own"), made("new"));
    let path = home.0.join("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text
        .replace("[http]\n", "[http]\nlisten_tls = \"127.0.0.1:0\"\n")
        .replace(
            "tls = []\n",
            &format!(
                "tls = []\n[sip.certificate]\nchain = {:?}\nkey = {:?}\n",
                own.certificate, own.key
            ),
        );
    std::fs::write(&path, text).unwrap();
    runtime().unwrap().block_on(async {
        let server = Server::start(home.config()).await.unwrap();
        let https = server.https().unwrap();
        for authority in [&own.authority, &new.authority] {
            let stream = TcpStream::connect(https).await.unwrap();
            let connector = believing(authority);
            let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
            let stream = connector.connect(name, stream).await.unwrap();
            let mut request = format!("wss://{https}/sip").into_client_request().unwrap();
            let headers = request.headers_mut();
            headers.insert("origin", format!("https://{https}").parse().unwrap());
            headers.insert("sec-websocket-protocol", "sip".parse().unwrap());
            let (socket, _) = tokio_tungstenite::client_async(request, stream)
                .await
                .unwrap();
            let device = "11111111-4f10-4692-abdb-99484c26d1ad";
            let mut page = Page {
                socket,
                user: "anna".to_owned(),
                device,
                cseq: 0,
            };
            assert_eq!(page.register("sesame").await.1.status(), Some(200));
            for (from, to) in [(&new.certificate, &own.certificate), (&new.key, &own.key)] {
                std::fs::copy(from, to).unwrap();
            }
            server.reload().await.unwrap();
        }
        server.stop().await.unwrap();
    });
}

/// A client that believes one authority.
fn believing(authority: &std::path::Path) -> tokio_rustls::TlsConnector {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(authority).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}
