//! The rules of the configuration: defaults, refusals, variables.
use super::*;

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::from_parts(file.parse().unwrap(), variables)
}

fn refusal(file: &str, variables: &[(&str, &str)]) -> String {
    load(file, variables).unwrap_err().to_string()
}

#[test]
fn nothing_set_means_everything_on_loopback() {
    let config = Config::defaults().unwrap();
    let listeners: Vec<String> = config
        .sip
        .listeners
        .iter()
        .map(|l| {
            format!(
                "{:?} {} as {}:{}",
                l.transport, l.address, l.advertised_host, l.advertised_port
            )
        })
        .collect();
    assert_eq!(
        listeners,
        [
            "Udp 127.0.0.1:5060 as 127.0.0.1:5060",
            "Tcp 127.0.0.1:5060 as 127.0.0.1:5060",
            "Tls 127.0.0.1:5061 as 127.0.0.1:5061",
        ]
    );
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!((config.rtp.port_min, config.rtp.port_max), (20_000, 29_999));
    assert_eq!(
        config.rtp.bind,
        ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(config.paths.dialplans, Path::new("./dialplans"));
    assert_eq!(config.paths.data, Path::new("./data"));
}

#[test]
fn a_refusal_names_the_key_the_rule_and_the_value() {
    let table = [
        (
            "[http]\nlisten = \"nowhere\"",
            "http.listen: want an address and a port such as \"127.0.0.1:8080\", have \"nowhere\"",
        ),
        (
            "[http]\norigins = [\"desk.example.com\"]",
            "http.origins: want origins such as \"https://desk.example.com\", \"null\" or \"*\", have \"desk.example.com\"",
        ),
        (
            "[http]\nlisten = 80",
            "http.listen: want an address and a port such as \"127.0.0.1:8080\", have 80",
        ),
        (
            "[rtp]\ndelay_min_ms = 60",
            "rtp.delay_initial_ms: want at least rtp.delay_min_ms and at most rtp.delay_max_ms, have \"60, 40, 200\"",
        ),
        (
            "[rtp]\nport_min = 20001",
            "rtp.port_min: want an even port, have \"20001\"",
        ),
        (
            "[webrtc]\nport = 80",
            "webrtc.port: want a whole number from 1024 to 65471, have 80",
        ),
        (
            "[webrtc]\nbind = [\"127.0.0.1\", \"127.0.0.2\"]",
            "webrtc.bind: want one address of each family, have \"127.0.0.1, 127.0.0.2\"",
        ),
        (
            "[webrtc]\nadvertised = [\"agents.example.com\"]",
            "webrtc.advertised: want an IP address such as \"203.0.113.5\", have \"agents.example.com\"",
        ),
        (
            "[webrtc]\nbind = [\"0.0.0.0\"]",
            "webrtc.advertised: missing; want the address that browsers send audio to, as it is received on 0.0.0.0",
        ),
        (
            "[rtp]\nworkers = 1000",
            "rtp.workers: want a whole number from 0 to 64, have 1000",
        ),
        (
            "[sip]\nt1 = \"3s\"",
            "sip.t1: want a time such as \"20s\", from 50ms to 2s, have \"3s\"",
        ),
        (
            "[sip]\nreliable_progress = \"often\"",
            "sip.reliable_progress: want true or false, have \"often\"",
        ),
        (
            "[log]\nformat = \"xml\"",
            "log.format: want \"text\" or \"json\", have \"xml\"",
        ),
        ("http = 3", "http: want a table, have 3"),
        (
            "[sip.certificate]\nchain = \"a.pem\"",
            "sip.certificate.key: missing; want the private key of the chain",
        ),
        (
            "api_key = \"short\"",
            "api_key: want at least 16 characters, have (hidden)",
        ),
        (
            "api_key = 12345678901234567",
            "api_key: want a text, have (hidden)",
        ),
    ];
    for (file, want) in table {
        assert_eq!(refusal(file, &[]), want);
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_that_exists() {
    let table = [
        ("[sip]\nupd = []", "sip.upd: no such key; did you mean udp?"),
        (
            "[http]\nlistn = \"\"",
            "http.listn: no such key; did you mean listen?",
        ),
        (
            "dialplan = \"x\"",
            "dialplan: no such key; did you mean dialplans?",
        ),
        (
            "[sip]\nudp = [{ address = \"127.0.0.1:1\", advertized = \"a\" }]",
            "sip.udp[0].advertized: no such key; did you mean advertised?",
        ),
        (
            "[sip]\ntcp = [{ address = \"127.0.0.1:1\", client_authorities = \"ca.pem\" }]",
            "sip.tcp[0].client_authorities: want a listener of sip.tls, have \"ca.pem\"",
        ),
        (
            "[sip]\ntls = [{ address = \"127.0.0.1:1\", client_certificates = \"asked\" }]",
            "sip.tls[0].client_authorities: missing; want a PEM file of those who sign the certificates",
        ),
        (
            "[sip]\ntls = [{ address = \"127.0.0.1:1\", client_certificates = \"wanted\" }]",
            "sip.tls[0].client_certificates: want \"required\" or \"asked\", have \"wanted\"",
        ),
        (
            "[webrtc]\nports = 8443",
            "webrtc.ports: no such key; did you mean port?",
        ),
        ("[quux]", "quux: no such key"),
    ];
    for (file, want) in table {
        assert_eq!(refusal(file, &[]), want);
    }
}

#[test]
fn a_variable_overrides_the_file_and_is_named_in_its_refusal() {
    let file =
        "data = \"a\"\n[sip]\nudp = [\"127.0.0.1:5070\"]\n[trunks.Acme-One]\npassword = \"x\"";
    let variables = [
        ("TANDEM_DATA", "b"),
        ("TANDEM_SIP__UDP", "127.0.0.1:6000, [::1]:6000"),
        ("TANDEM_RTP__WORKERS", "3"),
        ("TANDEM_TRUNKS__ACME_ONE__PASSWORD", "12345"),
        ("PATH", "untouched"),
    ];
    let config = load(file, &variables).unwrap();
    assert_eq!(config.paths.data, Path::new("b"));
    let udp = config
        .sip
        .listeners
        .iter()
        .filter(|l| l.transport == Transport::Udp);
    let hosts: Vec<&str> = udp.map(|l| l.advertised_host.as_str()).collect();
    assert_eq!(hosts, ["127.0.0.1", "[::1]"]);
    assert_eq!(config.rtp.workers, 3);
    let mut trunks = config.trunks.sections().unwrap();
    let (name, mut acme) = trunks.pop().unwrap();
    assert_eq!(
        (name.as_str(), acme.secret("password").unwrap().as_deref()),
        ("Acme-One", Some("12345"))
    );

    assert_eq!(
        refusal("", &[("TANDEM_RTP__WORKERS", "many")]),
        "rtp.workers (from TANDEM_RTP__WORKERS): want a whole number from 0 to 64, have \"many\""
    );
    assert_eq!(
        refusal("", &[("TANDEM_SIP__UPD", "x")]),
        "sip.upd (from TANDEM_SIP__UPD): no such key; did you mean udp?"
    );
}

#[test]
fn a_variable_that_some_other_system_sets_is_ignored_and_remembered() {
    let config = load(
        "",
        &[("TANDEM_SERVICE_HOST", "10.0.0.1"), ("TANDEM_CONFIG", "x")],
    )
    .unwrap();
    assert_eq!(config.ignored_variables, ["TANDEM_SERVICE_HOST"]);
}

#[test]
fn listening_on_all_addresses_needs_one_that_peers_can_use() {
    let all = "[sip]\nudp = [\"0.0.0.0:5060\"]\ntcp = []\ntls = []\n";
    assert!(refusal(all, &[]).starts_with("sip.udp[0].address: want sip.advertised"));
    let host = [("TANDEM_SIP__ADVERTISED", "203.0.113.5")];
    assert!(refusal(all, &host).starts_with("rtp.advertised: missing"));
    let both = [host[0], ("TANDEM_RTP__ADVERTISED", "203.0.113.5")];
    let config = load(all, &both).unwrap();
    assert_eq!(
        config.sip.listeners.first().unwrap().advertised_host,
        "203.0.113.5"
    );
    let media = [host[0], ("TANDEM_SIP__MEDIA", "203.0.113.6")];
    assert_eq!(
        load(all, &media)
            .unwrap()
            .sip
            .listeners
            .first()
            .unwrap()
            .media,
        Some([203, 0, 113, 6].into())
    );
}

#[test]
fn browsers_get_media_where_a_section_says_so_and_where_all_other_comes_unless_it_says_where() {
    assert_eq!(load("", &[]).unwrap().webrtc, None);
    let empty = load("[rtp]\nadvertised = \"203.0.113.5\"\n[webrtc]", &[]);
    let empty = empty.unwrap().webrtc.unwrap();
    let local = std::net::IpAddr::from([127, 0, 0, 1]);
    assert_eq!((empty.port, empty.bind.as_slice()), (8_443, &[local][..]));
    assert_eq!(empty.advertised(local).to_string(), "203.0.113.5");
    let own =
        "[webrtc]\nport = 9000\nbind = [\"::\", \"127.0.0.2\"]\nadvertised = [\"2001:db8::5\"]";
    let own = load(own, &[]).unwrap().webrtc.unwrap();
    let told: Vec<String> = own
        .bind
        .iter()
        .map(|ip| own.advertised(*ip).to_string())
        .collect();
    assert_eq!(
        (own.port, told),
        (9_000, vec!["2001:db8::5".into(), "127.0.0.2".into()])
    );
    let variable = [("TANDEM_WEBRTC__PORT", "9001")];
    assert_eq!(load("", &variable).unwrap().webrtc.unwrap().port, 9_001);
}

#[test]
fn recordings_take_known_formats_and_rates_and_their_mistakes_are_told() {
    let lines = "format = \"opus\"\nrate_max = 48000\nkey_file = \"k\"\nsync = false";
    let read = load(&format!("[recording]\n{lines}"), &[])
        .unwrap()
        .recording;
    assert_eq!(
        (read.format, read.rate_max, read.bitrate, read.sync),
        (RecordingFormat::Opus, 48_000, 24_000, false)
    );
    assert_eq!(read.key_file, Some("k".into()));
    for (line, rule) in [
        ("format = \"mp3\"", "opus"),
        ("rate_max = 44100", "8000, 16000 or 48000"),
        ("bitrate = 5000", "6000"),
        ("length_max = \"2d\"", "recording.length_max"),
        ("keyfile = \"k\"", "recording.keyfile"),
    ] {
        let why = load(&format!("[recording]\n{line}"), &[]).unwrap_err();
        assert!(why.to_string().contains(rule), "{line}: {why}");
    }
}

#[test]
fn tokens_and_relays_are_read_and_their_mistakes_are_told() {
    let secret = "0123456789abcdef0123456789abcdef";
    let text = format!(
        "[access]\nsecret = \"{secret}\"\nlogin = \"8h\"\n[webrtc.turn]\n\
         urls = [\"turn:t:3478\", \"stun:t:3478\"]\nsecret = \"north\"\nttl = \"1h\"\n"
    );
    let read = load(&text, &[]).unwrap();
    let hour = Duration::from_secs(3_600);
    assert_eq!(read.access.login, 8 * hour);
    assert_eq!(read.access.credential, 24 * hour);
    let turn = read.webrtc.clone().unwrap().turn.unwrap();
    assert_eq!((turn.urls.len(), turn.ttl), (2, hour));
    let shown = format!("{read:?}");
    assert!(!shown.contains(secret) && !shown.contains("north"));
    for (text, told) in [
        (
            "[access]\nsecret = \"short\"",
            "access.secret: want a secret of 32 to 64 bytes, have (hidden)",
        ),
        ("[access]\nlogin = \"10s\"", "access.login: want a time"),
        (
            "[access]\nlogn = \"1h\"",
            "access.logn: no such key; did you mean login?",
        ),
        ("[webrtc.turn]\nttl = \"1h\"", "webrtc.turn.urls: "),
        ("[webrtc.turn]\nurls = [\"turn:t\"]", "webrtc.turn.secret: "),
        (
            "[webrtc.turn]\nurls = [\"http://t\"]",
            "webrtc.turn.urls: want a URL",
        ),
        (
            "[webrtc.turn]\nurls = [\"stun:t\"]\nttl = \"1s\"",
            "webrtc.turn.ttl: want a time",
        ),
        (
            "[webrtc.turn]\nurls = [\"stun:t\"]\nuser = \"x\"",
            "webrtc.turn.user: no such key",
        ),
    ] {
        let why = load(text, &[]).unwrap_err().to_string();
        assert!(why.starts_with(told), "{text}: {why}");
    }
    let stun = load("[webrtc.turn]\nurls = [\"stun:t\"]", &[]).unwrap();
    assert!(stun.webrtc.unwrap().turn.is_some());
}

#[test]
fn an_office_of_thousands_is_let_in_as_the_limits_say_and_their_mistakes_are_told() {
    let text = "[limits]\nconnections = 12000\nconnections_per_address = 10000\nstrangers = 5000";
    let limits = load(text, &[]).unwrap().limits;
    let read = (
        limits.connections,
        limits.connections_per_address,
        limits.strangers,
    );
    assert_eq!((read, limits.calls), ((12_000, 10_000, 5_000), 1_000));
    for (line, told) in [
        (
            "connections = 100000",
            "limits.connections: want a whole number from 16 to 60000",
        ),
        (
            "strangers = 0",
            "limits.strangers: want a whole number from 16",
        ),
        (
            "connections_per_adress = 9",
            "limits.connections_per_adress: no such key; did you mean connections_per_address?",
        ),
    ] {
        let why = load(&format!("[limits]\n{line}"), &[]).unwrap_err();
        assert!(why.to_string().starts_with(told), "{line}: {why}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let config = load("api_key = \"0123456789abcdef\"", &[]).unwrap();
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}

const EXAMPLE: &str = include_str!("../../tandem.example.toml");

/// The example with every key that stands there with its default switched on.
fn example_of_defaults() -> String {
    let switched_on = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    EXAMPLE.lines().map(switched_on).collect()
}

#[test]
fn the_example_shows_every_default_as_it_is() {
    let defaults = Config::defaults().unwrap();
    assert_eq!(load(EXAMPLE, &[]).unwrap(), defaults);
    assert_eq!(load(&example_of_defaults(), &[]).unwrap(), defaults);
    let keys = example_of_defaults();
    let keys = keys
        .lines()
        .filter(|l| l.contains(" = ") && !l.starts_with('#'));
    assert_eq!(
        keys.count(),
        45,
        "a default is missing from the example, or from this test"
    );
}

/// What [`Config::load`] makes of the variables alone.
fn load_bare(variables: &[(&str, &str)]) -> Config {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(None, variables).unwrap()
}

#[test]
fn without_a_file_this_machine_is_a_trunk_until_somebody_is_named_or_others_can_reach_it() {
    let bare = load_bare(&[("TANDEM_DATA", "x")]);
    let trunks = bare.trunks.clone().sections().unwrap();
    let names: Vec<&str> = trunks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((bare.is_bare(), names), (true, vec![LOCAL_TRUNK]));
    for (variable, value) in [
        ("TANDEM_TRUNKS__ACME__SEND_TO", "192.0.2.1"),
        ("TANDEM_ENDPOINTS__ANNA__PASSWORD", "secret"),
        ("TANDEM_SIP__UDP", "192.0.2.9:5060"),
    ] {
        let config = load_bare(&[(variable, value)]);
        let local = config.trunks.sections().unwrap();
        assert!(
            !config.bare && local.iter().all(|(name, _)| name != LOCAL_TRUNK),
            "{variable}"
        );
    }
    assert!(!Config::defaults().unwrap().is_bare());
}

#[test]
fn a_file_read_again_is_what_it_is_by_then_under_the_variables_of_before() {
    let name = format!("tandem-config-{}.toml", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, "data = \"one\"\n[limits]\ncalls = 5\n").unwrap();
    let variables = [("TANDEM_LIMITS__CALLS".to_owned(), "7".to_owned())];
    let before = Config::load(Some(&file), variables).unwrap();
    std::fs::write(&file, "data = \"two\"\n[log]\nformat = \"json\"\n").unwrap();
    let after = before.read_again().unwrap();
    std::fs::write(&file, "[limits]\ncalls = 0\n[rtp]\nworkers = 65\n").unwrap();
    let refused = before.read_again().unwrap_err();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(after.paths.data, Path::new("two"));
    assert_eq!(after.limits.calls, 7);
    let differ = ["dialplans, prompts, data or certs", "log"];
    assert_eq!(before.fixed_differences(&after), differ);
    let place = format!("{}:4: rtp.workers: ", file.display());
    assert!(refused.to_string().starts_with(&place), "{refused}");
}

#[test]
fn whom_tls_believes_follows_from_whose_certificate_is_shown_unless_it_is_said() {
    let certificate = "[sip.certificate]\nchain = \"a.pem\"\nkey = \"b.pem\"";
    let table = [
        ("", Trust::Anybody),
        (certificate, Trust::System),
        ("[sip]\ntrust = \"system\"", Trust::System),
        ("[sip]\ntrust = \"ca.pem\"", Trust::File("ca.pem".into())),
    ];
    for (file, want) in table {
        assert_eq!(load(file, &[]).unwrap().sip.trust, want, "{file}");
    }
    let insisting = format!("[sip]\ntrust = \"anybody\"\n{certificate}");
    assert_eq!(load(&insisting, &[]).unwrap().sip.trust, Trust::Anybody);
}
