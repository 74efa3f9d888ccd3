//! Who is known: trunks, endpoints and agents of the configuration, and what the last run stored.

use super::commands::{endpoint_of, generated};
use super::plans;
use super::shard::ShardHandle;
use crate::access::{Access, Book};
use crate::api::credential_of;
use crate::center::{AgentConfig, AgentId, Codes, Wish};
use crate::config::{Config, ConfigError};
use crate::control::OverloadConfig;
use crate::dialplan::{Facts, Speech};
use crate::io::clock::SystemClock;
use crate::io::net::tls::{Callee, Caller, KeyPairFiles};
use crate::store::{
    AgentRow, CredentialFilter, CredentialRow, DATABASE, EndpointRow, RegistrationRow, Store,
    StoreError,
};
use crate::trunk::{
    AbuseConfig, ENDPOINT_NAME_RULE, Emergency, EndpointConfig, KeyFiles, TlsPeer, TrunkConfig,
    Trunks, UsageRow,
};

/// What the configuration's raw sections come to.
pub(super) struct Configured {
    pub(super) trunks: Vec<TrunkConfig>,
    pub(super) endpoints: Vec<EndpointConfig>,
    pub(super) agents: Vec<AgentConfig>,
    pub(super) codes: Codes,
    pub(super) book: Book,
    pub(super) emergency: Emergency,
    pub(super) overload: OverloadConfig,
    pub(super) abuse: AbuseConfig,
}

impl Configured {
    /// Reads the sections; `realm` is that of the running server, which a reload does not change.
    pub(super) fn of(config: &Config, realm: &str) -> Result<Self, ConfigError> {
        Self::read(config, realm).map_err(|error| config.place(error))
    }

    fn read(config: &Config, realm: &str) -> Result<Self, ConfigError> {
        let trunks = TrunkConfig::read_all(config.trunks.clone(), realm)?;
        Ok(Self {
            abuse: AbuseConfig::read(config.abuse.clone())?,
            emergency: Emergency::read(config.emergency.clone(), &trunks)?,
            overload: OverloadConfig::read(config.overload.clone())?,
            trunks,
            endpoints: EndpointConfig::read_all(config.endpoints.clone(), realm)?,
            agents: AgentConfig::read_all(config.agents.clone())?,
            codes: Codes::read(config.desk.clone())?,
            book: Book::read(config.agents.clone())?,
        })
    }

    /// Tells the log what is no mistake and should be known.
    pub(super) fn warn(&self) {
        let trunks = self
            .trunks
            .iter()
            .map(|it| ("trunks", &it.name, it.handling));
        let endpoints = self.endpoints.iter();
        let endpoints = endpoints.map(|it| ("endpoints", &it.name, it.handling));
        for (table, name, handling) in trunks.chain(endpoints) {
            if let Some(warning) = handling.warning(&format!("{table}.{name}")) {
                tracing::warn!("{warning}");
            }
        }
    }

    /// A name has one place where its truth lives.
    pub(super) fn refuse_twice(&self, made: &[EndpointRow]) -> Result<(), ConfigError> {
        let twice = |it: &&EndpointConfig| made.iter().any(|row| row.name == it.name);
        match self.endpoints.iter().find(twice) {
            None => Ok(()),
            Some(endpoint) => Err(ConfigError::Twice {
                key: format!("endpoints.{}", endpoint.name),
                what: format!("endpoint {:?}", endpoint.name),
                elsewhere: format!("in the database ({DATABASE}), made by the API"),
            }),
        }
    }

    /// Agents who log in are endpoints, whether anybody has described them as such or not.
    pub(super) fn add_pages(&mut self, made: &[EndpointRow]) -> Result<(), ConfigError> {
        for login in self.book.logins() {
            let name = &login.endpoint;
            let known = self.endpoints.iter().any(|it| it.name == *name);
            if known || made.iter().any(|row| row.name == *name) {
                continue;
            }
            let Some(page) = EndpointConfig::page(name) else {
                return Err(ConfigError::Value {
                    key: format!("agents.{}.endpoint", login.agent),
                    rule: ENDPOINT_NAME_RULE.to_owned(),
                    value: format!("\"{name}\""),
                });
            };
            self.endpoints.push(page);
        }
        Ok(())
    }

    /// What a dialplan may name.
    pub(super) fn facts(&self, config: &Config, speech: Speech, made: &[EndpointRow]) -> Facts {
        let configured = self.endpoints.iter().map(|it| it.name.clone());
        let made = made.iter().map(|it| it.name.clone());
        Facts {
            prompts: plans::prompt_names(&config.paths.prompts),
            speech,
            endpoints: Some(configured.chain(made).collect()),
            trunks: Some(self.trunks.iter().map(|it| it.name.clone()).collect()),
            agents: Some(self.agents.iter().map(|it| it.id.to_string()).collect()),
            queues_elsewhere: Default::default(),
        }
    }

    /// To whom TLS connections are opened, and what is proven on them.
    pub(super) fn callees(&self) -> Vec<Callee> {
        let peers = self.trunks.iter().flat_map(TrunkConfig::called_peers);
        let pair = |files: KeyFiles| KeyPairFiles {
            certificate: files.certificate,
            key: files.key,
        };
        let callee = |peer: TlsPeer| Callee {
            id: peer.id,
            told: format!("trunks.{}", peer.trunk),
            name: peer.name,
            ours: peer.ours.map(pair),
        };
        peers.map(callee).collect()
    }

    /// Who is known by the name in his certificate.
    pub(super) fn callers(&self) -> Vec<Caller> {
        let peers = self.trunks.iter().filter_map(TrunkConfig::caller_peer);
        let caller = |peer: TlsPeer| Caller {
            id: peer.id,
            told: format!("trunks.{}.tls_caller", peer.trunk),
            name: peer.name.unwrap_or_default(),
        };
        peers.map(caller).collect()
    }
}

/// What the last run stored.
pub(super) struct Stored {
    pub(super) endpoints: Vec<EndpointRow>,
    credentials: Vec<CredentialRow>,
    registrations: Vec<RegistrationRow>,
    agents: Vec<AgentRow>,
    /// What was used of this day and the one before.
    usage: Vec<UsageRow>,
}

impl Stored {
    pub(super) async fn read(store: &Store, clock: SystemClock) -> Result<Self, StoreError> {
        let now_ms = clock.wall().as_millisecond();
        let standing = CredentialFilter {
            ended: Some((false, now_ms)),
            ..CredentialFilter::default()
        };
        Ok(Self {
            endpoints: store.endpoints().await?,
            credentials: store.credentials(&standing, (0, u32::MAX)).await?.0,
            registrations: store.registrations(clock.wall().as_millisecond()).await?,
            agents: store.agents().await?,
            usage: store.usage(clock.wall().as_millisecond()).await?,
        })
    }

    /// Limits count on from where the last run stopped, before the first call comes.
    pub(super) fn restore_usage(&self, trunks: &mut Trunks, clock: SystemClock) {
        let now = clock.now();
        trunks.set_wall(now, clock.wall());
        for row in &self.usage {
            trunks.restore_usage(now, row);
        }
    }

    /// Gives it back to control. Registrations that no endpoint has any more are left out.
    pub(super) async fn restore(
        self,
        handle: &ShardHandle,
        clock: SystemClock,
        realm: &str,
        access: Access,
    ) {
        let (wall_ms, realm) = (clock.wall().as_millisecond(), realm.to_owned());
        let give = move |control: &mut crate::control::Control, now| {
            for row in self.endpoints {
                match endpoint_of(&row, &realm) {
                    Some(endpoint) => control.put_endpoint(endpoint),
                    None => tracing::warn!(
                        endpoint = row.name,
                        "a stored endpoint is of another realm or broken: left out"
                    ),
                }
            }
            for row in self.credentials {
                let credential = credential_of(&row);
                let password = access.sip_password(&row.id);
                let endpoint = generated(&credential.endpoint, &realm, &password);
                control.put_credential(now, credential, endpoint);
            }
            let rows = self.registrations.iter();
            for row in rows.filter_map(|row| row.registration(wall_ms)) {
                if control.trunks().endpoint(&row.endpoint).is_some() {
                    control.restore(now, row);
                }
            }
            for row in self.agents {
                let wish = Wish::from_name(&row.wish).unwrap_or_default();
                // Who is no agent any more, or whose reason is none: as the configuration has him.
                let (agent, reason) = (AgentId::new(&row.name), row.reason.as_deref());
                let _ = control.agent_wish(now, agent, wish, reason);
            }
        };
        handle.tell(give).await;
    }
}
