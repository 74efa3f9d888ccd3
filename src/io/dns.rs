//! Questions to DNS, answered at the edge: each by itself, so many at once, each within a bound.
//!
//! Nothing is kept here: what was said is kept, refreshed and believed by `trunk::names`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use tokio::sync::Semaphore;

use crate::trunk::names::{Answer, Naptr, Question, Records, Srv};

/// Asks the configured servers, or those of the system. Cheap to clone.
#[derive(Clone)]
pub struct Dns {
    resolver: Result<TokioResolver, Arc<str>>,
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    /// A resolver of these servers, or, without any, of `/etc/resolv.conf`. One that cannot be made
    /// fails each question with the reason: numeric trunks need none.
    pub fn new(servers: &[SocketAddr]) -> Self {
        let resolver = build(servers).map_err(|error| error.to_string().into());
        Self {
            resolver,
            turns: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }

    /// Asks, waiting for its turn among [`AT_ONCE_MAX`]; within [`ANSWER_WITHIN`] of that there is an
    /// answer.
    pub async fn answer(&self, question: &Question) -> Answer {
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(why) => return Answer::Failed(format!("no resolver: {why}")),
        };
        let Ok(_turn) = self.turns.acquire().await else {
            return Answer::Failed("the server is going down".to_owned());
        };
        match tokio::time::timeout(ANSWER_WITHIN, ask(resolver, question)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Failed(format!("no answer within {ANSWER_WITHIN:?}")),
        }
    }
}

fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if servers.is_empty() {
        Resolver::builder(provider)?
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        Resolver::builder_with_config(config, provider)
    };
    *builder.options_mut() = options(builder.options_mut().clone());
    builder.build()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
        way.port = address.port();
        way
    });
    NameServerConfig::new(address.ip(), true, ways.to_vec())
}

fn options(mut options: ResolverOpts) -> ResolverOpts {
    options.cache_size = 0;
    options.timeout = Duration::from_secs(2);
    options.attempts = 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options
}

async fn ask(resolver: &TokioResolver, question: &Question) -> Answer {
    // The final dot keeps the system's search domains out.
    let name = format!("{}.", question.name());
    let found = match question {
        Question::Naptr(_) => resolver.lookup(name, RecordType::NAPTR).await,
        Question::Srv(_) => resolver.lookup(name, RecordType::SRV).await,
        Question::Addresses(_) => {
            let found = resolver.lookup_ip(name).await;
            return found.map_or_else(failure, |found| {
                let ttl = ttl(found.as_lookup().answers());
                let addresses: Vec<IpAddr> = found.iter().take(RECORDS_MAX).collect();
                records(Records::Addresses(addresses), ttl)
            });
        }
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return failure(error),
    };
    let data = found.answers().iter().map(|record| &record.data);
    let ttl = ttl(found.answers());
    match question {
        Question::Naptr(_) => {
            let read = |data: &RData| match data {
                RData::NAPTR(it) => Some(Naptr {
                    order: it.order,
                    preference: it.preference,
                    flags: text(&it.flags),
                    service: text(&it.services),
                    replacement: plain(&it.replacement),
                }),
                _ => None,
            };
            let mut found: Vec<Naptr> = data.filter_map(read).collect();
            found.sort_by_key(|it| (it.order, it.preference));
            found.truncate(RECORDS_MAX);
            records(Records::Naptr(found), ttl)
        }
        Question::Srv(_) | Question::Addresses(_) => {
            let read = |data: &RData| match data {
                RData::SRV(it) => Some(Srv {
                    priority: it.priority,
                    weight: it.weight,
                    port: it.port,
                    target: plain(&it.target),
                }),
                _ => None,
            };
            let mut found: Vec<Srv> = data.filter_map(read).collect();
            found.sort_by_key(|it| it.priority);
            found.truncate(RECORDS_MAX);
            records(Records::Srv(found), ttl)
        }
    }
}

/// An answer without a record of the kind that was asked for is none.
fn records(records: Records, ttl: Duration) -> Answer {
    let empty = match &records {
        Records::Naptr(list) => list.is_empty(),
        Records::Srv(list) => list.is_empty(),
        Records::Addresses(list) => list.is_empty(),
    };
    if empty {
        Answer::Nothing(ttl)
    } else {
        Answer::Records(records, ttl)
    }
}

fn failure(error: NetError) -> Answer {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) => {
            let secs = nothing.negative_ttl.unwrap_or(NOTHING_SECS);
            Answer::Nothing(Duration::from_secs(secs.into()))
        }
        error => Answer::Failed(error.to_string()),
    }
}

/// The shortest of all: the answer is one thing.
fn ttl(records: &[Record]) -> Duration {
    let shortest = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(shortest.unwrap_or(0).into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In lower case, without the final dot; the root is empty.
fn plain(name: &Name) -> Arc<str> {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).into()
}

/// Questions under way; more wait.
pub const AT_ONCE_MAX: usize = 32;
/// How long one question may take, all servers and tries together.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(6);
/// Records of one answer that are looked at, of the first priorities.
const RECORDS_MAX: usize = 64;
/// How long there is nothing where the zone does not say (no SOA).
const NOTHING_SECS: u32 = 30;
