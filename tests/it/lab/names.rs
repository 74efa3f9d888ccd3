//! A bench's names: its shard's questions go by the production resolver to a name server of the test.
//!
//! Time stands still for the shard while DNS is asked.

use std::net::SocketAddr;

use tandem::io::dns::Dns;
use tandem::trunk::{Answer, Question};

use super::Lab;

/// The resolver, and what it runs on.
pub(super) struct Names {
    dns: Dns,
    runtime: tokio::runtime::Runtime,
}

impl Names {
    pub(super) fn new(server: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let dns = runtime.block_on(async { Dns::new(&[server]) });
        Self { dns, runtime }
    }

    fn answer(&self, question: &Question) -> Answer {
        self.runtime.block_on(self.dns.answer(question))
    }
}

impl Lab {
    /// Has the shard's questions answered; whether there were any.
    pub(super) fn answer_names(&mut self) -> bool {
        let Some(names) = &self.names else {
            return false;
        };
        let asked = std::mem::take(&mut self.asked);
        for question in &asked {
            let answer = names.answer(question);
            self.control.resolved(self.now, question, answer);
        }
        !asked.is_empty()
    }
}
