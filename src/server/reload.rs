//! Reload, by SIGHUP or by the API: dialplans, trunks, endpoints and agents are read again and put in
//! force together, or, with any mistake, not at all. Listeners, paths and limits hold until a restart.

use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};

use super::known::Configured;
use super::plans::{self, PlanError};
use super::shard::ShardHandle;
use super::sockets;
use crate::api::{Logins, Reloaded};
use crate::config::Config;
use crate::control::Reconfiguration;
use crate::dialplan::Speech;
use crate::io::net::tls::{TlsConfig, TlsFiles};
use crate::store::Store;
use crate::trace::TraceConfig;

/// What a reload needs of the server that it reloads.
pub(super) struct Reloader {
    /// As it was at the start: what is fixed stays so.
    config: Arc<Config>,
    /// What the checker knows of the speech engine.
    voices: Speech,
    store: Store,
    logins: Arc<Logins>,
    handle: ShardHandle,
    /// TLS in use; its files may have been renewed.
    tls: Option<TlsConfig>,
    /// One at a time: the last one asked for is the last in force.
    turn: Mutex<()>,
}

impl Reloader {
    pub(super) fn new(
        config: Arc<Config>,
        voices: Speech,
        (store, logins): (Store, Arc<Logins>),
        handle: ShardHandle,
        tls: Option<TlsConfig>,
    ) -> Self {
        Self {
            tls,
            logins,
            config,
            voices,
            store,
            handle,
            turn: Mutex::new(()),
        }
    }

    /// Reads everything again and puts it in force.
    ///
    /// # Errors
    /// Every mistake, which the log has too: then nothing has changed.
    pub(super) async fn reload(&self) -> Result<Reloaded, Vec<String>> {
        let _turn = self.turn.lock().await;
        let result = self.try_reload().await;
        match &result {
            Ok(Reloaded {
                files,
                entries,
                queues,
            }) => tracing::info!(files, entries, queues, "reloaded"),
            Err(mistakes) => {
                for mistake in mistakes {
                    tracing::error!("reload refused, nothing has changed: {mistake}");
                }
            }
        }
        result
    }

    async fn try_reload(&self) -> Result<Reloaded, Vec<String>> {
        let fresh = self.config.read_again().map_err(one)?;
        // Read for its mistakes: it holds from the next start on.
        TraceConfig::read(fresh.trace.clone()).map_err(one)?;
        let mut known = Configured::of(&fresh, &self.config.sip.realm).map_err(one)?;
        let made = self.store.endpoints().await.map_err(one)?;
        known.refuse_twice(&made).map_err(one)?;
        known.add_pages(&made).map_err(one)?;
        let facts = known.facts(&self.config, self.voices.clone(), &made);
        let plan =
            plans::load(&self.config.paths.dialplans, &facts).map_err(|error| match error {
                PlanError::Mistakes(mistakes) => mistakes,
                error @ PlanError::Unreadable { .. } => one(error),
            })?;
        if let (Some(tls), Some(files)) = (&self.tls, self.tls_files(&known)?) {
            tls.reload(&files).map_err(one)?;
        }
        let reloaded = Reloaded {
            files: plan.files().count(),
            entries: plan.entries(),
            queues: plan.queues().len(),
        };
        known.warn();
        let (logins, book) = (known.book.logins().cloned().collect(), known.book);
        self.put_in_force(Reconfiguration {
            logins,
            plan: Arc::new(plan),
            trunks: known.trunks,
            endpoints: known.endpoints,
            agents: known.agents,
            codes: known.codes,
            emergency: known.emergency,
            overload: known.overload,
            abuse: known.abuse,
        })
        .await?;
        self.logins.replace(book);
        for key in self.config.fixed_differences(&fresh) {
            tracing::warn!("{key}: changed in the configuration; holds from the next start on");
        }
        Ok(reloaded)
    }

    /// The listeners are those of the start, the peers those of now.
    fn tls_files(&self, known: &Configured) -> Result<Option<TlsFiles>, Vec<String>> {
        sockets::tls_files(&self.config, known).map_err(one)
    }

    async fn put_in_force(&self, new: Reconfiguration) -> Result<(), Vec<String>> {
        let (reply, answer) = oneshot::channel();
        self.handle
            .tell(move |control, now| {
                // Whoever asked may have gone away: it is in force nevertheless.
                let _ = reply.send(control.reconfigure(now, new));
            })
            .await;
        match answer.await {
            Ok(result) => result.map_err(one),
            Err(_) => Err(one("the server is going down")),
        }
    }
}

fn one(mistake: impl ToString) -> Vec<String> {
    vec![mistake.to_string()]
}
